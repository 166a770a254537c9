"""Symmetric pairs as they come: twins, homodimers, two files, bad records, hubs, decoys; none depends on the sides."""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc.disk.files import atomic_write_json
from hpc.errors import InputError
from snw_dist.config import SnwConfig
from snw_dist.data.audit.run import audit
from snw_dist.data.checked import Checked
from snw_dist.data.prepare import check_inputs, prepare
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.splits.split import APART
from snw_dist.data.trained import rows_of, write_record
from snw_dist.embedding.store.part_plan import EMPTY, missing_sequences
from snw_dist.evaluate.measurable import without_repeats
from tests.kit.data_inputs import Inputs
from tests.kit.split_tools import random_sequences

POOL = random_sequences(14, 30, 5)
Row = tuple[str, str, int, str]
IDENTICAL = {"clusters": "identical"}
SPLITS = ("train", "val", "test")


def fasta(sequences: dict[str, str]) -> str:
    return "".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items())


def table(rows: list[Row]) -> str:
    return "ligand_id,receptor_id,label,split\n" + "".join(f"{a},{b},{label},{split}\n" for a, b, label, split in rows)


def symmetric(inputs: Inputs, sequences: dict[str, str], rows: list[Row], **data: Any) -> SnwConfig:
    """Both sides in one FASTA file."""
    data = {"split": {"method": "column", **IDENTICAL}} | data
    names = ("proteins.fasta", "proteins.fasta", "pairs.csv")
    return inputs(fasta(sequences), fasta(sequences), table(rows), names=names, symmetric=True, **data)


def outcome(config: SnwConfig) -> Any:
    """What a set gives: its findings and files, or why it is refused (without the number of turned rows)."""
    try:
        checked = check_inputs(config)
        prepare(config)
    except InputError as error:
        return type(error), str(error).count("\n")
    found = [(f.kind, f.where, f.count, f.total, f.examples) for f in audit(checked, APART[config.data.split.method])]
    tables = {path.name: path.read_bytes() for path in sorted(config.data_folder.glob("*.parquet"))}
    return found, tables


@settings(
    max_examples=int(os.environ.get("SNW_FAULT_REPEATS", "1")) * 25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    ends=st.lists(st.tuples(st.integers(0, 13), st.integers(0, 13), st.booleans()), min_size=12, max_size=40),
    method=st.sampled_from(["column", "random", "both_cold"]),
    twins=st.booleans(),
    dealt=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_set_depends_on_the_sides(
    inputs: Inputs, ends: list[tuple[int, int, bool]], method: str, twins: bool, dealt: bool, seed: int
) -> None:
    """Homodimers, twins of another id, repeats and contradictions included."""
    sequences = {f"p{i}": POOL[i % 9 if twins else i] for i in range(14)}
    rng = np.random.default_rng(seed)
    rows = [(f"p{a}", f"p{b}", int(dealt or bound), SPLITS[(a + b) % 3]) for a, b, bound in ends]
    turned = [(b, a, *rest) if rng.random() < 0.5 else (a, b, *rest) for a, b, *rest in rows]
    split = {"method": method, "val_fraction": 0.25, "test_fraction": 0.25, **IDENTICAL}
    data = {"split": split, "on_invalid": "skip", "negatives": "derangement" if dealt else "given"}
    one, other = (outcome(symmetric(inputs, sequences, given, **data)) for given in (rows, turned))
    assert one == other


def checked_ends(checked: Checked) -> np.ndarray[Any, Any]:
    """[pairs, 2] the distinct sequences of each pair."""
    return np.stack(
        [checked.distinct[0].code[checked.pairs.ligand], checked.distinct[0].code[checked.pairs.receptor]], 1
    )


@pytest.mark.parametrize("seed", range(8))
def test_dealt_negatives_of_twins_and_homodimers(inputs: Inputs, seed: int) -> None:
    """No negative is a positive of any split, in either order and by any id; each protein keeps its degree."""
    rng = np.random.default_rng(seed)
    pool = random_sequences(40, 30, seed)
    sequences = {f"p{i}": pool[i % 32] for i in range(40)}  # 8 have two ids
    pairs = {(min(a, b), max(a, b)) for a, b in rng.integers(0, 40, (70, 2)).tolist()} | {(i, i) for i in range(6)}
    rows = [(f"p{a}", f"p{b}", 1, SPLITS[i % 3]) for i, (a, b) in enumerate(sorted(pairs))]
    checked = check_inputs(symmetric(inputs, sequences, rows, negatives="derangement"))
    ends, positive = checked_ends(checked), checked.positive
    bound = {frozenset(pair) for pair in ends[positive].tolist()}
    made = [frozenset(pair) for pair in ends[~positive].tolist()]
    assert not bound & set(made)
    assert len(set(made)) == len(made)
    for number in range(3):
        here = checked.pairs.split == number
        assert Counter(ends[here & positive].ravel().tolist()) == Counter(ends[here & ~positive].ravel().tolist())


def test_a_hub_bound_by_all_has_no_negatives_and_is_told(inputs: Inputs) -> None:
    sequences = {f"p{i}": sequence for i, sequence in enumerate(random_sequences(301, 20, 1))}
    rows = [(*(("p0", f"p{i}") if i % 2 else (f"p{i}", "p0")), 1, SPLITS[i % 3]) for i in range(1, 301)]
    with pytest.raises(InputError, match=r"No negatives can be dealt in the split .*its proteins bind") as caught:
        check_inputs(symmetric(inputs, sequences, rows, negatives="derangement"))
    assert "receptor" not in str(caught.value).replace("data.split.receptor_identity", "")


def test_relatives_on_opposite_sides_stay_in_one_split(inputs: Inputs) -> None:
    """Clusters are made over both sides together, by MMseqs2."""
    rng = np.random.default_rng(2)
    families = random_sequences(24, 120, 2)
    sequences = {}
    for i, family in enumerate(families):
        for member in range(2):
            letters = list(family)
            for at in rng.integers(0, 120, 6):
                letters[at] = "ACDEFGHIKL"[int(rng.integers(10))]
            sequences[f"f{i}m{member}"] = "".join(letters)
    rows = [(f"f{i}m0", f"f{(i + 1) % 24}m1", int(rng.integers(2)), "x") for i in range(24)]
    rows += [(f"f{i}m0", f"f{i}m1", int(rng.integers(2)), "x") for i in range(24)]
    split = {"method": "both_cold", "clusters": "mmseqs2", "val_fraction": 0.25, "test_fraction": 0.25}
    config = symmetric(inputs, sequences, rows, split=split)
    checked = check_inputs(config)
    assert len(np.unique(checked.distinct[0].cluster)) == 24
    cluster = checked.distinct[0].cluster[checked_ends(checked)]
    homes: dict[int, set[int]] = {}
    for ends, part in zip(cluster.tolist(), checked.pairs.split.tolist(), strict=True):
        for family in ends:
            homes.setdefault(family, set()).add(part)
    assert all(len(parts) == 1 for parts in homes.values())
    assert not [f for f in audit(checked, APART["both_cold"]) if "overlap" in f.kind]


def test_a_pair_of_twins_in_train_is_not_measured_in_test(inputs: Inputs) -> None:
    """(A, B) in train and (B', A) in test, where B' is B by another id: one pair, whatever the order."""
    sequences = {f"p{i}": sequence for i, sequence in enumerate(POOL)} | {"twin": POOL[1]}
    rows: list[Row] = [("p0", "p1", 1, "train"), ("p2", "p3", 0, "train"), ("p4", "p5", 1, "val")]
    for swapped in (("twin", "p0"), ("p0", "twin")):
        config = symmetric(inputs, sequences, [*rows, (*swapped, 1, "test"), ("p6", "p7", 0, "test")])
        checked = check_inputs(config)
        assert {f.kind for f in audit(checked, APART["column"])} >= {"identical_sequences"}
        prepare(config)
        _, left_out = without_repeats(load_prepared(config.data_folder))
        assert left_out == {"test": {"pairs": 2, "trained_on": 1, "chosen_by": 0}}


GOOD: list[Row] = [("p0", "p1", 1, "train"), ("p2", "p3", 0, "train"), ("p5", "p4", 1, "val"), ("p6", "p7", 0, "test")]


@pytest.mark.parametrize("kind", ["same", "link", "relative", "gzip"])
def test_one_set_of_proteins_by_any_path(inputs: Inputs, tmp_path: Path, kind: str) -> None:
    """The same file is read once by whatever path; a copy of it adds nothing."""
    text = fasta(
        {f"p{i}": sequence.lower() if i == 0 else sequence for i, sequence in enumerate(POOL)} | {"bad": "M*K"}
    )
    (tmp_path / "sub").mkdir(exist_ok=True)
    other: dict[str, str | bytes] = {
        "same": "a.fasta",
        "link": "b.fasta",
        "relative": "sub/../a.fasta",
        "gzip": "a.fasta.gz",
    }
    if kind == "link":
        (tmp_path / "a.fasta").touch()
        (tmp_path / "b.fasta").symlink_to(tmp_path / "a.fasta")
    second: str | bytes = gzip.compress(text.encode()) if kind == "gzip" else text
    names = ("a.fasta", str(other[kind]), "pairs.csv")
    settings = {"symmetric": True, "split": {"method": "column", **IDENTICAL}, "on_invalid": "skip"}
    config = inputs(text, second, table(GOOD), names=names, **settings)
    summary = prepare(config)
    prepared = load_prepared(config.data_folder)
    assert list(prepared.ligands) == [f"p{i}" for i in range(14)]
    assert prepared.receptors == prepared.ligands
    files = 2 if kind == "gzip" else 1
    counts = summary.counts["receptors"]
    assert (counts.read, counts.kept, counts.merged, counts.rejected) == (
        (15, 0, 14, 1) if files == 2 else (0, 0, 0, 0)
    )
    assert sum("lower-case" in note for note in summary.notes) == files
    assert (config.data_folder / "rejects.csv").read_text().count("bad") == files


def test_an_id_is_told_once_and_of_both_files(inputs: Inputs) -> None:
    sequences = {f"sp|Q{i}|N{i}": sequence for i, sequence in enumerate(POOL)}
    rows = [(f"Q{a[1:]}", f"Q{b[1:]}", label, split) for a, b, label, split in GOOD]
    notes = prepare(symmetric(inputs, sequences, rows)).notes
    assert [note for note in notes if "field between bars" in note] == [
        "pairs.csv: 8 protein ids are a field between bars of the ids in data.ligands or data.receptors, such as Q0 in "
        "sp|Q0|N0."
    ]
    for row in (("Q0", "Q99", 1, "train"), ("Q99", "Q0", 1, "train")):
        with pytest.raises(InputError, match=r"protein id 'Q99' is not in data[.]ligands or data[.]receptors"):
            check_inputs(symmetric(inputs, sequences, [*rows, row]))


def test_a_rejected_protein_is_not_replaced_by_another_of_the_same_field(inputs: Inputs) -> None:
    first = fasta({f"p{i}": sequence for i, sequence in enumerate(POOL)} | {"x|bad|y": POOL[0][::-1]})
    second = fasta({"bad": "M*K"})
    settings = {"symmetric": True, "split": {"method": "column", **IDENTICAL}, "on_invalid": "skip"}
    config = inputs(first, second, table([*GOOD, ("bad", "p1", 1, "train")]), **settings)
    summary = prepare(config)
    assert (summary.counts["pairs"].kept, summary.counts["pairs"].rejected) == (4, 1)
    assert "was rejected" in (config.data_folder / "rejects.csv").read_text()


def test_decoys_of_both_orders_are_one_pair(inputs: Inputs) -> None:
    sequences = {f"p{i}": sequence for i, sequence in enumerate(POOL)}
    pairs = ["ligand_id,receptor_id,score,name,split"]
    for a, b, _, split in GOOD:
        pairs += [f"{a},{b},-1.5,{a}{b}1,{split}", f"{b},{a},-3.5,{a}{b}2,{split}"]
    names = ("proteins.fasta", "proteins.fasta", "pairs.csv")
    settings = {
        "symmetric": True,
        "split": {"method": "column", **IDENTICAL},
        "scores": {"term": "score", "aggregate": "mean_top", "top_k": 2, "transform": "minmax"},
        "columns": {"decoy": "name"},
    }
    text = fasta(sequences)
    pairs[-1] = pairs[-1].replace("-3.5", "-9.5")
    pairs[2] = pairs[2].replace("-3.5", "-5.5")
    checked = check_inputs(inputs(text, text, "\n".join(pairs) + "\n", names=names, **settings))
    assert checked.pairs.scores is not None
    assert checked.pairs.scores.decoys.tolist() == [2, 2, 2, 2]
    assert sorted(checked.pairs.scores.score.tolist()) == [-5.5, -3.5, -2.5, -2.5]


def test_each_protein_is_embedded_once(inputs: Inputs) -> None:
    config = symmetric(inputs, {f"p{i}": sequence for i, sequence in enumerate(POOL)}, GOOD)
    prepare(config)
    prepared = load_prepared(config.data_folder)
    tables = (("ligand", prepared.ligands), ("receptor", prepared.receptors))
    assert sorted(missing_sequences(tables, EMPTY)) == sorted(POOL)


def test_a_change_of_it_is_a_change_of_the_data(inputs: Inputs) -> None:
    """A network that was trained with sides is not put on pairs without them, without a word."""
    sequences = {f"p{i}": sequence for i, sequence in enumerate(POOL)}
    rows = [*GOOD, ("p1", "p2", 1, "train"), ("p2", "p1", 1, "train")]
    with_sides = symmetric(inputs, sequences, rows)
    plain = inputs(fasta(sequences), fasta(sequences), table(rows), split={"method": "column", **IDENTICAL})
    prepare(plain)
    before: Prepared = load_prepared(plain.data_folder)
    assert not before.symmetric
    write_record(plain.run_folder, rows_of(before), before.summary["made_from"])
    atomic_write_json(plain.run_folder / "finished.json", {})
    assert with_sides.data_folder == plain.data_folder
    with pytest.raises(InputError, match=r"data\.symmetric: False then, True now"):
        prepare(with_sides)
    assert not load_prepared(plain.data_folder).symmetric
