"""Clusters by MMseqs2, the real program, against what the sequences were made to be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hpc.errors import EnvironmentProblem
from snw_dist.data.files.fasta import read_fasta
from snw_dist.data.records.repeats import numbered
from snw_dist.data.splits.clusters import distinct_sequences, find_mmseqs, similar
from tests.kit.split_tools import LETTERS, random_sequences

EXAMPLE = Path(__file__).resolve().parents[3] / "data" / "mhc_binding"


def _family(parent: str, num: int, changes: int, rng: np.random.Generator) -> list[str]:
    """The parent and copies with residues replaced at distinct positions."""
    members = [parent]
    for _ in range(num - 1):
        letters = list(parent)
        for at in rng.choice(len(parent), changes, replace=False):
            letters[at] = rng.choice(sorted(set(LETTERS) - {letters[at]}))
        members.append("".join(letters))
    return members


def _same(found: np.ndarray, wanted: np.ndarray) -> bool:
    return bool((numbered(found) == numbered(wanted)).all())


@pytest.mark.mmseqs
def test_families_of_proteins_are_found_whatever_the_order_and_the_processors() -> None:
    rng = np.random.default_rng(0)
    families = [_family(parent, 5, 90, rng) for parent in random_sequences(12, 180, 1)]  # half the residues differ
    sequences = [member for family in families for member in family]
    wanted = np.repeat(np.arange(12), 5)
    assert _same(similar(sequences, 0.3, 0.5), wanted)
    order = rng.permutation(len(sequences))
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        again = similar([sequences[i] for i in order], 0.3, 0.5)
    finally:
        os.sched_setaffinity(0, processors)
    assert _same(again, wanted[order])


@pytest.mark.mmseqs
def test_peptides_with_one_residue_replaced_are_found() -> None:
    """The defaults of MMseqs2 find hardly any of them."""
    rng = np.random.default_rng(2)
    families = [_family(parent, 2, 1, rng) for parent in random_sequences(300, 9, 3)]
    sequences = list(dict.fromkeys(member for family in families for member in family))
    family_of = {member: i for i, family in enumerate(families) for member in family}
    wanted = np.array([family_of[sequence] for sequence in sequences])
    found = similar(sequences, 0.8, 0.8)
    together = sum(len(set(found[wanted == i].tolist())) == 1 for i in range(300))
    assert together >= 295
    assert len(np.unique(found)) >= 290


@pytest.mark.mmseqs
def test_a_chain_of_relatives_is_one_cluster() -> None:
    """Its ends are not similar, but no cut through it keeps relatives together."""
    a, b, c = (random_sequences(1, 100, seed)[0] for seed in (5, 6, 7))
    assert similar([a + b, b + c, random_sequences(1, 200, 8)[0]], 0.9, 0.4).tolist() == [0, 0, 1]
    assert similar([a + b, b + c], 0.9, 0.8).tolist() == [0, 1]


@pytest.mark.mmseqs
def test_sequences_that_cannot_be_searched_are_on_their_own() -> None:
    assert similar(["M", "MK", "XXXXXXXX", "MKV"], 0.8, 0.8).tolist() == [0, 1, 2, 3]
    assert similar(["MKVLAYDDKAA", "XX", "MKVLAYDDKAC"], 0.8, 0.8).tolist() == [0, 1, 0]
    assert similar([], 0.8, 0.8).tolist() == []


@pytest.mark.mmseqs
def test_receptors_of_one_family_are_one_cluster() -> None:
    sequences = {record.id: record.sequence for record in read_fasta(EXAMPLE / "receptors.fasta")}
    side = distinct_sequences(sequences, "mmseqs2", 0.3, 0.5)
    assert side.cluster.tolist() == [0] * 41
    assert side.note() == f"41 distinct, clusters 1, the largest of 41 (by MMseqs2 {find_mmseqs()})"


def test_identical_sequences_only() -> None:
    side = distinct_sequences({"a": "MK", "b": "MV", "c": "MK"}, "identical", 0.3, 0.5)
    assert side.code.tolist() == [0, 1, 0]
    assert side.cluster.tolist() == [0, 1]
    units = side.cluster_units(np.array([2, 1, 1]))
    assert (units.unit.tolist(), list(units.names)) == ([0, 1, 1], ["MK", "MV"])
    assert side.note() == "2 distinct, clusters 2, the largest of 1 (by identity)"


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentProblem, match="apt-get install mmseqs2") as caught:
        similar(["MKVLAY", "MKVLAW"], 0.8, 0.8)
    assert caught.value.exit_code == 4
    assert 'data.split.clusters = "identical"' in str(caught.value)


def test_a_program_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "mmseqs"
    program.write_text("#!/bin/sh\n[ $1 = version ] && echo 1 && exit\necho no space left; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(EnvironmentProblem, match="easy-cluster: failed with exit status 3: no space left"):
        similar(["MKVLAY", "MKVLAW"], 0.8, 0.8)
