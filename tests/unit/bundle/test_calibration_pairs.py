"""Calibration pairs of a bundle: those of the split that was named, as the bundle itself scores them, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.errors import CorruptError, InputError
from snw_dist import PairScorer
from snw_dist.bundle.calibration_pairs import CalibrationPairs, calibration_pairs_of, read_calibration_pairs
from snw_dist.bundle.members import chosen_members
from snw_dist.bundle.read import open_bundle
from snw_dist.config import SnwConfig
from tests.kit.bundle_tools import bundled, compared_folds, measured_pairs, put


def read(folder: Path) -> CalibrationPairs:
    found = read_calibration_pairs(open_bundle(folder))
    assert found is not None
    return found


def test_they_are_the_pairs_of_the_split(run: SnwConfig, tmp_path: Path) -> None:
    found = read(bundled(run, tmp_path / "out", calibration_split="test"))
    table = measured_pairs(run)
    table = table[table["split"] == "test"]
    assert found.split == "test"
    assert [found.ligands[i] for i in found.ligand] == table["ligand"].tolist()
    assert [found.receptors[i] for i in found.receptor] == table["receptor"].tolist()
    assert found.positive == table["positive"].tolist()
    assert found.score == table["score"].tolist()
    assert 0 < sum(found.positive) < len(found.positive)


@pytest.mark.parametrize("choice", ["siamese-1", "all"])
def test_scores_are_those_that_a_screen_would_give(comparison: SnwConfig, tmp_path: Path, choice: str) -> None:
    """Of several members the mean of their probabilities: another score could not be exchanged with the library's."""
    folder = bundled(comparison, tmp_path / "out", choice, "test")
    found = read(folder)
    ligands = [found.ligands[i] for i in found.ligand]
    receptors = [found.receptors[i] for i in found.receptor]
    scores = PairScorer.load(folder, device="cpu").score(ligands, receptors).score
    np.testing.assert_allclose(scores, found.score, rtol=0, atol=1e-6)


def test_the_card_says_what_the_split_cannot_measure_any_more(run: SnwConfig, made: Path, tmp_path: Path) -> None:
    folder = bundled(run, tmp_path / "out", calibration_split="test")
    said = "So `test` can measure the network, but not that promise."
    assert said in (folder / "README.md").read_text()
    assert said not in (made / "README.md").read_text()
    assert read_calibration_pairs(open_bundle(made)) is None


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ("train", "train and val have made and chosen the network"),
        ("val", "train and val have made and chosen the network"),
        ("tset", "no measured pairs of that split. There are: test."),
    ],
)
def test_splits_that_are_refused(run: SnwConfig, split: str, said: str) -> None:
    with pytest.raises(InputError, match=f"--calibration-split {split}: .*{said}"):
        calibration_pairs_of(chosen_members(run, None), split)


def test_positive_pairs_alone_are_refused(run: SnwConfig) -> None:
    chosen = chosen_members(run, None)
    chosen.members[0].predictions["positive"] = True
    with pytest.raises(InputError, match="--calibration-split test: none of its pairs is negative"):
        calibration_pairs_of(chosen, "test")


def test_members_of_several_folds_are_refused(tmp_path: Path) -> None:
    chosen = chosen_members(compared_folds(tmp_path, ["siamese"], [1]), "all")
    with pytest.raises(InputError, match="each pair was held out from one fold alone"):
        calibration_pairs_of(chosen, "test")


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["score"].pop(),
        lambda content: content["ligand"].__setitem__(0, len(content["ligands"])),
        lambda content: content["positive"].__setitem__(0, 1),
        lambda content: content["score"].__setitem__(0, None),
        lambda content: content.update(more=1),
    ],
)
def test_damage_is_refused(run: SnwConfig, tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    folder = bundled(run, tmp_path / "out", calibration_split="test")
    content = json.loads((folder / "calibration_pairs.json").read_text())
    change(content)
    put(folder, "calibration_pairs.json", json.dumps(content).encode())
    with pytest.raises(CorruptError, match=r"calibration_pairs\.json"):
        read(folder)
