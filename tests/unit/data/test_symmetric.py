"""Pairs whose sides mean nothing: a sequence counts whichever side it stands on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from hpc.errors import InputError
from snw_dist.config import SnwConfig
from snw_dist.data.audit.findings import Finding
from snw_dist.data.audit.run import audit
from snw_dist.data.prepare import check_inputs, prepare
from snw_dist.data.prepared import load_prepared
from snw_dist.data.splits.split import APART
from tests.kit.data_inputs import Inputs
from tests.kit.split_tools import random_sequences

BY_IDENTITY = {"method": "column", "clusters": "identical"}
Row = tuple[str, str, int, str]
SPLITS = ("train", "val", "test")
NEVER = {"train": 8, "val": 4, "test": 7}


def proteins(num: int, seed: int = 0) -> dict[str, str]:
    return {f"p{i}": sequence for i, sequence in enumerate(random_sequences(num, 40, seed))}


def fasta(sequences: dict[str, str]) -> str:
    return "".join(f">{name}\n{sequence}\n" for name, sequence in sequences.items())


def table(rows: list[Row]) -> str:
    return "ligand_id,receptor_id,label,split\n" + "".join(f"{a},{b},{label},{split}\n" for a, b, label, split in rows)


def one_file(inputs: Inputs, sequences: dict[str, str], rows: list[Row], **data: Any) -> SnwConfig:
    """Both sides in one FASTA file, which is what users of protein-protein pairs have."""
    names = ("proteins.fasta", "proteins.fasta", "pairs.csv")
    text = fasta(sequences)
    settings = {"symmetric": True, "split": BY_IDENTITY} | data
    return inputs(text, text, table(rows), names=names, **settings)


def found(config: SnwConfig) -> dict[tuple[str, str], Finding]:
    findings = audit(check_inputs(config, stop_at_rejects=False), APART[config.data.split.method])
    return {(finding.kind, finding.where): finding for finding in findings}


def swapped(rows: list[Row], seed: int = 0) -> list[Row]:
    """The same with the sides of every second pair or so exchanged."""
    turn = np.random.default_rng(seed).random(len(rows)) < 0.5
    return [
        (b, a, label, split) if t else (a, b, label, split) for t, (a, b, label, split) in zip(turn, rows, strict=True)
    ]


def parts_with_negatives_only() -> tuple[dict[str, str], list[Row]]:
    """As in the gold standard of Bernett et al.: each part has proteins of its own that occur only as negatives.

    Every protein of a positive pair is its left side in one and its right side in another, and some are only negative
    on one side, so that counting by side finds more.
    """
    sequences, rows = proteins(90), []
    names = list(sequences)
    for number, split in enumerate(SPLITS):
        own = names[number * 30 : number * 30 + 30]
        bound, never = own[: 30 - NEVER[split]], own[30 - NEVER[split] :]
        half = len(bound) // 2
        for i in range(half):
            rows.append((bound[i], bound[half + i], 1, split))
            rows.append((bound[half + i], bound[(i + 1) % half], 0, split))  # only negative, if sides are told apart
        rows += [(bound[0], bound[-1], 1, split), (bound[-1], bound[1], 1, split)]
        rows += [(name, bound[i], 0, split) if i % 2 else (bound[i], name, 0, split) for i, name in enumerate(never)]
    return sequences, rows


def test_negative_only_counts_proteins_of_either_side(inputs: Inputs) -> None:
    sequences, rows = parts_with_negatives_only()
    by_protein = found(one_file(inputs, sequences, rows))
    finding = by_protein["only_negative", "proteins"]
    assert finding.count == sum(NEVER.values())
    assert "train 8, val 4, test 7" in finding.effect
    assert not any("ligands" in where or "receptors" in where for _, where in by_protein)
    by_side = found(one_file(inputs, sequences, rows, symmetric=False))
    counts = [by_side["only_negative", side].count for side in ("ligands", "receptors")]
    assert all(count > sum(NEVER.values()) for count in counts)


def test_the_audit_is_the_same_whichever_side_a_protein_stands_on(inputs: Inputs) -> None:
    sequences, rows = parts_with_negatives_only()
    rows = [*rows, ("p0", "p31", 1, "val"), ("p62", "p1", 0, "test")]
    findings = [found(one_file(inputs, sequences, given)) for given in (rows, swapped(rows))]
    assert findings[0] == findings[1]
    assert findings[0]["sequence_overlap", "proteins of val in train"].count == 1
    assert findings[0]["sequence_overlap", "proteins of test in train"].count == 1


def test_a_swapped_pair_is_the_same_pair(inputs: Inputs) -> None:
    sequences = proteins(8)
    rows: list[Row] = [
        ("p0", "p1", 1, "train"),
        ("p2", "p3", 0, "train"),
        ("p4", "p5", 1, "val"),
        ("p6", "p7", 1, "test"),
    ]
    checked = check_inputs(one_file(inputs, sequences, [*rows, ("p1", "p0", 1, "train")]))
    assert (len(checked.pairs), checked.pairs.merged) == (4, 1)
    findings = found(one_file(inputs, sequences, [*rows, ("p1", "p0", 1, "train")]))
    assert findings["duplicate_pairs", "pairs"].count == 1
    assert ("swapped_pairs", "pairs") not in findings


@pytest.mark.parametrize(("label", "split", "what"), [(0, "train", "label 1.0 here"), (1, "test", "split train here")])
def test_a_swapped_pair_contradicts(inputs: Inputs, label: int, split: str, what: str) -> None:
    rows: list[Row] = [
        ("p0", "p1", 1, "train"),
        ("p2", "p3", 0, "train"),
        ("p4", "p5", 1, "val"),
        ("p6", "p7", 1, "test"),
    ]
    with pytest.raises(InputError, match="contradictory pair") as caught:
        check_inputs(one_file(inputs, proteins(8), [*rows, ("p1", "p0", label, split)]))
    assert what in str(caught.value)


def random_rows(num_proteins: int, num: int, seed: int = 3) -> list[Row]:
    rng = np.random.default_rng(seed)
    pairs = {(min(a, b), max(a, b)) for a, b in rng.integers(0, num_proteins, (num, 2)).tolist() if a != b}
    return [(f"p{a}", f"p{b}", int(rng.integers(2)), "train") for a, b in sorted(pairs)]


@pytest.mark.parametrize("split", [{"method": "both_cold"}, {"method": "random"}, {"method": "both_cold", "folds": 4}])
def test_the_same_bytes_whichever_side_a_protein_stands_on(inputs: Inputs, split: dict[str, Any]) -> None:
    sequences, rows = proteins(60), random_rows(60, 90)
    split = {"clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2, **split}
    files = []
    for given in (rows, swapped(rows)):
        config = one_file(inputs, sequences, given, split=split)
        prepare(config)
        files.append({name: (config.data_folder / name).read_bytes() for name in ("pairs.parquet", "dropped.parquet")})
    assert files[0] == files[1]
    pairs = load_prepared(config.data_folder).pairs
    if split["method"] == "both_cold":
        places: dict[str, set[str]] = {}
        for side in ("ligand_id", "receptor_id"):
            for name, part in zip(pairs[side], pairs["split"], strict=True):
                places.setdefault(name, set()).add(part)
        assert all(len(parts) == 1 for parts in places.values())
        shares = pairs["split"].value_counts(normalize=True)
        assert shares["train"] > 0.35
        assert min(shares["val"], shares["test"]) > 0.08


def test_a_protein_bound_to_its_own_relatives_stays_in_one_part(inputs: Inputs) -> None:
    sequences = proteins(30)
    rows: list[Row] = [(f"p{i}", f"p{i}", 1, "train") for i in range(30)]
    rows += [(f"p{i}", f"p{(i + 1) % 30}", 0, "train") for i in range(30)]
    split = {"method": "both_cold", "clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2}
    checked = check_inputs(one_file(inputs, sequences, rows, split=split))
    assert len(checked.pairs) >= 50
    assert (checked.pairs.split[checked.pairs.ligand == checked.pairs.receptor] >= 0).all()


@pytest.mark.parametrize("method", ["ligand_cold", "receptor_cold"])
def test_one_cold_side_is_refused_with_the_fix(inputs: Inputs, method: str) -> None:
    with pytest.raises(InputError, match="both_cold"):
        one_file(inputs, proteins(4), [], split={"method": method})


def test_made_negatives_keep_the_degree_of_each_protein(inputs: Inputs) -> None:
    sequences = proteins(40)
    rows = [(a, b, 1, SPLITS[i % 3]) for i, (a, b, _, _) in enumerate(random_rows(40, 150))]
    checked = check_inputs(one_file(inputs, sequences, swapped(rows), negatives="derangement"))
    pairs, positive = checked.pairs, checked.positive
    ends = np.stack([pairs.ligand, pairs.receptor], axis=1)
    bound = {tuple(sorted(pair)) for pair in ends[positive].tolist()}
    made = [tuple(sorted(pair)) for pair in ends[~positive].tolist()]
    assert len(made) == len(rows)
    assert len(set(made)) == len(made)
    assert not bound & set(made)
    assert all(a != b for a, b in made)
    for number in range(3):
        here = pairs.split == number
        assert Counter(ends[here & positive].ravel().tolist()) == Counter(ends[here & ~positive].ravel().tolist())


def test_one_file_is_read_once_and_told_once(inputs: Inputs) -> None:
    sequences = {name: text.lower() for name, text in proteins(9).items()}
    rows: list[Row] = [
        ("p0", "p1", 1, "train"),
        ("p2", "p3", 0, "train"),
        ("p4", "p5", 1, "val"),
        ("p7", "p6", 1, "test"),
    ]
    config = one_file(inputs, sequences, rows)
    summary = prepare(config)
    assert sum("lower-case" in note for note in summary.notes) == 1
    assert sum("in no pair" in note for note in summary.notes) == 1
    assert (summary.counts["ligands"].kept, summary.counts["receptors"].read) == (9, 0)
    prepared = load_prepared(config.data_folder)
    assert prepared.symmetric
    assert prepared.ligands == prepared.receptors
    assert summary.made_from["settings"]["data.symmetric"] is True


def test_two_files_are_one_set(inputs: Inputs) -> None:
    sequences = proteins(8)
    names = list(sequences)
    first, second = ({name: sequences[name] for name in part} for part in (names[:5], names[3:]))
    rows: list[Row] = [
        ("p7", "p0", 1, "train"),
        ("p2", "p3", 0, "train"),
        ("p4", "p5", 1, "val"),
        ("p6", "p1", 1, "test"),
    ]
    config = inputs(fasta(first), fasta(second), table(rows), symmetric=True, split=BY_IDENTITY)
    summary = prepare(config)
    counts = summary.counts["receptors"]
    assert (counts.read, counts.kept, counts.merged) == (5, 3, 2)
    assert load_prepared(config.data_folder).receptors == sequences
    second["p3"] = sequences["p0"]
    config = inputs(fasta(first), fasta(second), table(rows), symmetric=True, split=BY_IDENTITY)
    with pytest.raises(InputError, match=r"ligands.fasta:7 and .*receptors.fasta:1: p3: same id, another sequence"):
        check_inputs(config)


def test_data_without_it_are_as_before(inputs: Inputs) -> None:
    rows: list[Row] = [
        ("p0", "p1", 1, "train"),
        ("p1", "p0", 0, "train"),
        ("p4", "p5", 1, "val"),
        ("p6", "p7", 1, "test"),
    ]
    checked = check_inputs(one_file(inputs, proteins(8), rows, symmetric=False))
    assert checked.pairs.ligand.tolist() == [0, 1, 4, 6]
