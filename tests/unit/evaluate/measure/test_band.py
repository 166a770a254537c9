"""The interval of a calibration: it holds what is true, is wide where little is known, and never certain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from snw_dist.arrays import FloatArray
from snw_dist.evaluate.measure.band import calibration_band
from snw_dist.evaluate.measure.calibration import fit_isotonic, fit_temperature
from snw_dist.predict.calibration import Calibration

FITS = {"temperature": fit_temperature, "isotonic": fit_isotonic}


def planted(seed: int, receptors: int, each: int, spread: float = 0.0) -> pd.DataFrame:
    """Scores whose logits are twice those of the truth; receptors may be shifted by `spread`."""
    rng = np.random.default_rng(seed)
    receptor = np.repeat(np.arange(receptors), each)
    logit = rng.normal(-1, 1.5, receptor.size)
    positive = rng.random(receptor.size) < expit(logit + spread * rng.normal(size=receptors)[receptor])
    table = pd.DataFrame({"score": expit(2 * logit), "positive": positive, "split": "val", "ligand": "A"})
    return table.assign(receptor=[f"r{number}" for number in receptor])


def band(table: pd.DataFrame, method: str, repeats: int = 60, seed: int = 1) -> tuple[Calibration, FloatArray]:
    calibration = FITS[method](table["positive"].to_numpy(), table["score"].to_numpy())
    return calibration, np.array(calibration_band(table, calibration, repeats, seed, False))


@pytest.mark.parametrize(("method", "seeds", "least"), [("temperature", 24, 0.8), ("isotonic", 8, 0.85)])
def test_it_holds_the_truth(method: str, seeds: int, least: float) -> None:
    """A temperature is one number, so the band holds everywhere or nowhere."""
    held = []
    for seed in range(seeds):
        at, low, high = band(planted(seed, 30, 20), method, 40)[1].T
        truth = expit(np.log(at / (1 - at)) / 2)
        held.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(held) > least


@pytest.mark.parametrize("method", FITS)
def test_it_rises_and_is_wider_where_less_is_known(method: str) -> None:
    few, many = (band(planted(3, receptors, 20), method)[1] for receptors in (6, 120))
    for found in (few, many):
        assert (np.diff(found, axis=0) >= 0).all()
        assert (found[:, 1] <= found[:, 2]).all()
        assert found[:, 1].min() >= 0
        assert found[:, 2].max() <= 1
    width = [float((found[:, 2] - found[:, 1]).mean()) for found in (few, many)]
    assert width[0] > 1.5 * width[1]


def test_receptors_that_differ_make_it_wider() -> None:
    """They are drawn with all their pairs; one by one, pairs would seem to tell more than they do."""
    plain, shifted = (band(planted(4, 12, 60, spread), "isotonic")[1] for spread in (0.0, 2.0))
    assert (shifted[:, 2] - shifted[:, 1]).mean() > 1.5 * (plain[:, 2] - plain[:, 1]).mean()


def test_what_was_not_seen_is_no_certainty() -> None:
    """40 negatives in the lowest scores: no draw has a positive there, and up to 3 / 40 may still be."""
    score, positive = np.linspace(0.1, 0.9, 100), np.arange(100) >= 40
    table = pd.DataFrame({"score": score, "positive": positive, "split": "val", "ligand": "A", "receptor": "R"})
    calibration, found = band(table, "isotonic")
    assert calibration([0.1, 0.9]).tolist() == [0.0, 1.0]
    assert found[0].tolist() == pytest.approx([0.1, 0.0, 3 / 40])
    assert found[-1].tolist() == pytest.approx([0.9, 1 - 3 / 60, 1.0])


def test_other_splits_do_not_count_and_a_seed_makes_it_again() -> None:
    table = planted(5, 8, 20)
    more = pd.concat([table, table.assign(split="test", positive=~table["positive"])], ignore_index=True)
    calibration = fit_isotonic(table["positive"].to_numpy(), table["score"].to_numpy())
    first = calibration_band(table, calibration, 20, 1, False)
    assert calibration_band(more, calibration, 20, 1, False) == first
    assert calibration_band(table, calibration, 20, 2, False) != first


def test_there_is_none_without_a_calibration_or_repeats() -> None:
    table = planted(6, 3, 5)
    assert calibration_band(table, Calibration("none"), 20, 1, False) == []
    assert calibration_band(table, Calibration("temperature", 2.0), 0, 1, False) == []
    assert calibration_band(table.assign(positive=True), Calibration("temperature", 2.0), 20, 1, False) == []


def test_proteins_are_drawn_where_the_sides_mean_nothing() -> None:
    table = planted(7, 6, 20)
    table["ligand"] = [f"r{number % 6}" for number in range(len(table))]
    calibration = fit_temperature(table["positive"].to_numpy(), table["score"].to_numpy())
    assert calibration_band(table, calibration, 20, 1, True) != calibration_band(table, calibration, 20, 1, False)
