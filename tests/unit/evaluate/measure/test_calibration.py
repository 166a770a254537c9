import json
import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from snw_dist.evaluate.measure import calibration as calibration_module
from snw_dist.evaluate.measure.calibration import (
    choose_calibration,
    fit_isotonic,
    fit_temperature,
    save_calibration,
)
from snw_dist.metrics.metrics import probability_metrics
from snw_dist.predict.calibration import Calibration, load_calibration
from tests.kit.evaluate_tools import exported_siamese, made_of


def planted(seed, num_pairs, distort):
    """Truth drawn from known probabilities, and scores that are a distortion of these."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(1, 2, num_pairs)
    return rng.random(num_pairs) < probability, distort(probability), probability


def overconfident(probability):
    return expit(3 * logit(probability))


def bent(probability):
    return probability**4


def test_a_planted_temperature_is_found():
    positive, scores, probability = planted(0, 20_000, overconfident)
    fitted = fit_temperature(positive, scores)
    assert fitted.temperature == pytest.approx(3.0, abs=0.15)
    np.testing.assert_allclose(fitted(scores), probability, atol=0.02)


def test_isotonic_is_that_of_sklearn_also_outside_and_between():
    positive, scores, _ = planted(1, 500, bent)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, positive)
    anywhere = np.linspace(-0.5, 1.5, 999)
    np.testing.assert_allclose(fit_isotonic(positive, scores)(anywhere), theirs.predict(anywhere), atol=1e-12)


@pytest.mark.parametrize(("distort", "method"), [(overconfident, "temperature"), (bent, "isotonic")])
@pytest.mark.parametrize("seed", range(3))
def test_the_method_that_fits_is_chosen_and_helps_on_new_pairs(distort, method, seed):
    calibration = choose_calibration(*planted(seed, 2_000, distort)[:2], seed=1)
    assert calibration.method == method
    positive, scores, _ = planted(seed + 100, 20_000, distort)
    before, after = (probability_metrics(positive, values) for values in (scores, calibration(scores)))
    assert after["ece"] < 0.04 < before["ece"]
    assert after["brier"] < before["brier"]


@pytest.mark.parametrize("fit", [fit_temperature, fit_isotonic])
def test_probabilities_rise_and_stay_in_their_range(fit):
    positive, scores, _ = planted(2, 300, bent)
    probability = fit(positive, np.append(scores[:-2], [0.0, 1.0]))(np.linspace(-1, 2, 400))
    assert (np.diff(probability) >= 0).all()
    assert probability.min() >= 0
    assert probability.max() <= 1


@pytest.mark.parametrize("positive", [[], [False] * 9, [True] * 9, [True] + [False] * 8])
def test_what_cannot_be_fitted_is_left_as_it_is(positive):
    calibration = choose_calibration(positive, np.linspace(-0.1, 1.1, len(positive)), seed=1)
    assert calibration == Calibration("none")
    np.testing.assert_array_equal(calibration([-0.2, 0.3, 1.2]), [0.0, 0.3, 1.0])


def test_two_of_a_class_are_enough():
    assert choose_calibration([True, True, False, False], [0.9, 0.8, 0.2, 0.1], seed=1).method != "none"


@pytest.fixture
def export(tmp_path):
    return exported_siamese(tmp_path, 1)


@pytest.mark.parametrize("method", [fit_temperature, fit_isotonic, None])
def test_what_is_saved_is_what_is_loaded(export, method):
    positive, scores, _ = planted(3, 400, bent)
    calibration = method(positive, scores) if method else Calibration("none")
    save_calibration(export, calibration, "val", 400, made_of(export))
    assert load_calibration(export) == calibration
    written = json.loads((export / "calibration.json").read_text())
    assert written["fitted_on"] == {"split": "val", "num_pairs": 400}
    assert written["made_of"] == made_of(export)


def test_missing_and_stale_calibrations_are_refused(export, tmp_path):
    with pytest.raises(InputError, match=r"not calibrated yet.*snw-dist evaluate"):
        load_calibration(export)
    save_calibration(export, Calibration("temperature", 2.0), "val", 9, made_of(export))
    text = (export / "calibration.json").read_text()
    exported_siamese(tmp_path, 2)
    with pytest.raises(InputError, match="not calibrated yet"):
        load_calibration(export)
    (export / "calibration.json").write_text(text)
    with pytest.raises(InputError, match="other weights"):
        load_calibration(export)


def test_weights_replaced_after_loading_leave_no_calibration(export, tmp_path, monkeypatch):
    """Before it is written, and between that and the last look."""
    before = made_of(export)
    exported_siamese(tmp_path, 2)
    with pytest.raises(EnvironmentProblem, match="replaced while it was evaluated"):
        save_calibration(export, Calibration("none"), "val", 9, before)
    assert not (export / "calibration.json").exists()

    before, write = made_of(export), calibration_module.write_sealed

    def replaced(path, content):
        exported_siamese(tmp_path, 3)
        write(path, content)

    monkeypatch.setattr(calibration_module, "write_sealed", replaced)
    with pytest.raises(EnvironmentProblem, match="replaced while it was evaluated"):
        save_calibration(export, Calibration("none"), "val", 9, before)
    assert not (export / "calibration.json").exists()


def test_weights_that_were_changed_in_place_are_damage(export):
    before = made_of(export)
    save_calibration(export, Calibration("none"), "val", 9, before)
    data = bytearray((export / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (export / "model.safetensors").write_bytes(data)
    for use in (
        lambda: save_calibration(export, Calibration("none"), "val", 9, before),
        lambda: load_calibration(export),
    ):
        with pytest.raises(CorruptError, match=r"model\.safetensors: SHA-256"):
            use()


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(CorruptError, match="1 of 2 scores"):
        choose_calibration([True, False], [0.1, math.nan], seed=1)
