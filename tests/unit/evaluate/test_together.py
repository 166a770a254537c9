"""Several runs measured as one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpc.errors import InputError
from snw_dist.evaluate.measure.calibration import choose_calibration
from snw_dist.evaluate.together import measure_together
from tests.kit.evaluate_tools import good_scores, held_out_pairs


def predictions(seed: int, pairs_seed: int = 0):
    pairs = held_out_pairs(pairs_seed)
    scores = good_scores(pairs, seed)
    return pairs.assign(score=scores, probability=scores**2)


def test_the_mean_of_probabilities_with_a_calibration_and_threshold_of_its_own():
    one, two = predictions(1), predictions(2)
    found = measure_together([[one, two]], 20, 3, False)
    mean, positive = ((one["probability"] + two["probability"]) / 2).to_numpy(), one["positive"].to_numpy()
    val = (one["split"] == "val").to_numpy()
    assert found["calibration"]["method"] == choose_calibration(positive[val], mean[val], 3).method
    for split in ("val", "test", "mixed"):
        rows = (one["split"] == split).to_numpy()
        auroc = found["splits"][split]["metrics"]["auroc"]
        assert auroc["value"] == pytest.approx(roc_auc_score(positive[rows], mean[rows]))
        assert auroc["low"] < auroc["value"] < auroc["high"]
    called = mean[val] >= found["threshold"]
    assert 0 < called.sum() < val.sum()


def test_of_folds_each_pair_counts_with_the_runs_that_have_not_learned_from_it():
    folds = [[predictions(1, 0), predictions(2, 0)], [predictions(3, 1), predictions(4, 1)]]
    found = measure_together(folds, 0, 1, False)
    means = [(a["probability"] + b["probability"]) / 2 for a, b in folds]
    rows = [(fold[0]["split"] == "test").to_numpy() for fold in folds]
    positive = np.concatenate([fold[0]["positive"].to_numpy()[own] for fold, own in zip(folds, rows, strict=True)])
    scores = np.concatenate([mean.to_numpy()[own] for mean, own in zip(means, rows, strict=True)])
    assert found["splits"]["test"]["metrics"]["auroc"]["value"] == pytest.approx(roc_auc_score(positive, scores))


def test_runs_that_were_measured_on_other_pairs_have_no_mean():
    other = predictions(2).sample(frac=1, random_state=0).reset_index(drop=True)
    with pytest.raises(InputError, match="measured on different pairs"):
        measure_together([[predictions(1), other]], 0, 1, False)
