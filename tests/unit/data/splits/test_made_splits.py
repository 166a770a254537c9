"""Splits and negatives through the whole of `prepare`: what is written, what is listed, what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.config import SnwConfig
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import Prepared, load_prepared
from tests.kit.data_inputs import Inputs
from tests.kit.split_tools import random_sequences

REPOSITORY = Path(__file__).resolve().parents[4]
LIGANDS, RECEPTORS = random_sequences(60, 10, 0), random_sequences(30, 80, 1)
IDENTICAL = {"clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2}


def _fasta(kind: str, sequences: list[str]) -> str:
    return "".join(f">{kind}{i}\n{sequence}\n" for i, sequence in enumerate(sequences))


FASTA = {"ligands": _fasta("l", LIGANDS), "receptors": _fasta("r", RECEPTORS)}


def _table(positive_only: bool = False) -> str:
    cells = np.random.default_rng(2).choice(60 * 30, 300 if positive_only else 600, replace=False)
    rows = [f"l{c // 30},r{c % 30},{1 if positive_only else c % 2}\n" for c in cells.tolist()]
    return "ligand_id,receptor_id,label\n" + "".join(rows)


def _prepared(config: SnwConfig) -> Prepared:
    prepare(config)
    return load_prepared(config.data_folder)


def test_pairs_across_splits_are_listed(inputs: Inputs) -> None:
    config = inputs(**FASTA, pairs=_table(), split=IDENTICAL | {"method": "both_cold"})
    summary = prepare(config)
    pairs = load_prepared(config.data_folder).pairs
    dropped = pd.read_parquet(config.data_folder / "dropped.parquet")
    assert len(pairs) + len(dropped) == 600
    assert summary.dropped == {"across_splits": len(dropped)}
    assert f"{len(dropped)} of 600 pairs dropped: across_splits." in summary.notes
    split_of = {side: dict(zip(pairs[side], pairs["split"], strict=True)) for side in ("ligand_id", "receptor_id")}
    for row in dropped.itertuples():
        assert row.reason == "across_splits"
        sides = split_of["ligand_id"].get(row.ligand_id), split_of["receptor_id"].get(row.receptor_id)
        assert sides[0] != sides[1] or None in sides
    assert summary.splits["test"].ligands_in_train == summary.splits["test"].receptors_in_train == 0


def test_other_methods_drop_nothing(inputs: Inputs) -> None:
    config = inputs(**FASTA, pairs=_table(), split=IDENTICAL | {"method": "receptor_cold"})
    summary = prepare(config)
    assert summary.dropped == {}
    assert len(pd.read_parquet(config.data_folder / "dropped.parquet")) == 0
    assert summary.splits["val"].receptors_in_train == 0
    assert {name: split.pairs for name, split in summary.splits.items()} == {"train": 360, "val": 120, "test": 120}


@pytest.mark.mmseqs
def test_relatives_are_in_one_split_and_the_program_is_named(inputs: Inputs) -> None:
    """Ten families of three receptors, of which two thirds of the residues are equal."""
    rng = np.random.default_rng(3)
    receptors = []
    for parent in random_sequences(10, 120, 4):
        for _ in range(3):
            other = random_sequences(1, 120, int(rng.integers(1 << 30)))[0]
            receptors.append("".join(b if rng.random() < 0.2 else a for a, b in zip(parent, other, strict=True)))
    files = {"ligands": FASTA["ligands"], "receptors": _fasta("r", receptors)}
    config = inputs(**files, pairs=_table(), split=IDENTICAL | {"method": "receptor_cold", "clusters": "mmseqs2"})
    pairs = _prepared(config).pairs
    family = pairs["receptor_id"].str[1:].astype(int) // 3
    assert pairs.groupby(family)["split"].nunique().eq(1).all()
    notes = load_prepared(config.data_folder).summary["notes"]
    assert notes[1].startswith("receptors: 30 distinct, clusters 10, the largest of 3 (by MMseqs2 ")


def _folds(inputs: Inputs, **split: Any) -> list[pd.Series]:
    parts = []
    for fold in range(4):
        settings = IDENTICAL | {"method": "ligand_cold", "folds": 4, "fold": fold} | split
        parts.append(_prepared(inputs(**FASTA, pairs=_table(), split=settings)).pairs["split"])
    return parts


def test_folds_and_seeds(inputs: Inputs) -> None:
    folds = _folds(inputs, seed=1)
    assert (np.sum([(fold == "test").to_numpy() for fold in folds], axis=0) == 1).all()
    assert all(((a == "val") == (b == "test")).all() for a, b in zip(folds, [*folds[1:], folds[0]], strict=True))
    other = _folds(inputs, seed=2)
    assert (folds[0] != other[0]).any()


def test_negatives_balance_both_sides_of_every_split(inputs: Inputs) -> None:
    split = IDENTICAL | {"method": "ligand_cold"}
    config = inputs(**FASTA, pairs=_table(positive_only=True), negatives="derangement", split=split)
    pairs = _prepared(config).pairs
    assert len(pairs) == 600
    assert not pairs.duplicated(["ligand_id", "receptor_id"]).any()
    for _, part in pairs.groupby("split"):
        for side in ("ligand_id", "receptor_id"):
            positive, negative = part[part["positive"]], part[~part["positive"]]
            assert Counter(positive[side]) == Counter(negative[side])
    assert (pairs["label"] == pairs["positive"]).all()
    assert (pairs["weight"] == 1).all()
    first = {path.name: path.read_bytes() for path in config.data_folder.iterdir()}
    lines = _table(positive_only=True).splitlines()
    shuffled = "\n".join([lines[0], *lines[:0:-1]])
    again = _prepared(inputs(**FASTA, pairs=shuffled, negatives="derangement", split=split)).pairs
    columns = ["ligand_id", "receptor_id", "label", "split"]
    same = pairs[columns].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(again[columns].sort_values(columns, ignore_index=True), same)
    prepare(inputs(**FASTA, pairs=_table(positive_only=True), negatives="derangement", split=split))
    assert {path.name: path.read_bytes() for path in config.data_folder.iterdir()} == first


def test_negatives_are_not_made_beside_given_ones(inputs: Inputs) -> None:
    config = inputs(**FASTA, pairs=_table(), negatives="derangement", split=IDENTICAL | {"method": "random"})
    with pytest.raises(InputError, match=r"pairs\.csv: \d+ of 600 pairs are negative, but data\.negatives"):
        prepare(config)


def _command(folder: Path, *options: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "launch" / "prepare.py"), *options]
    environment = os.environ | ({"PATH": path} if path is not None else {})
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_fold_and_seed_on_the_command_line(inputs: Inputs, tmp_path: Path) -> None:
    inputs(**FASTA, pairs=_table())
    settings = {"data": {"split": IDENTICAL | {"method": "random", "folds": 5}}}
    (tmp_path / "SNW_config.json").write_text(json.dumps(settings))
    result = _command(tmp_path, "--run", "f3", "--fold", "3", "--split-seed", "9")
    assert (result.returncode, result.stderr) == (0, "")
    assert "Split random, seed 9." in result.stdout
    result = _command(tmp_path, "--fold", "5")
    assert (result.returncode, "data.split.fold 5 is not one of 0 to 4" in result.stderr) == (2, True)


def test_without_mmseqs_it_is_an_environment_problem(inputs: Inputs, tmp_path: Path) -> None:
    inputs(**FASTA, pairs=_table())
    (tmp_path / "SNW_config.json").write_text(json.dumps({"data": {"split": {"method": "ligand_cold"}}}))
    result = _command(tmp_path, path=str(tmp_path))
    assert result.returncode == 4
    assert result.stderr.startswith("error: mmseqs: no such program. Install MMseqs2 (Debian: apt-get install mmseqs2;")
    assert not (tmp_path / "runs").exists()
