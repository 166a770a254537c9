import io
import json
import math

import matplotlib.image
import numpy as np
import pytest

from snw_dist.evaluate.pictures import style as canvas
from snw_dist.evaluate.pictures.auroc_bars import controls_picture, strata_picture
from snw_dist.evaluate.pictures.curves import (
    SplitScores,
    histogram_picture,
    precision_recall_picture,
    reliability_picture,
    roc_picture,
)
from snw_dist.evaluate.pictures.training_curve import read_training_log, training_picture

ENCODER = "esmc-tiny-random (random weights)"


def split(name, seed, num_pairs=200, control=True):
    rng = np.random.default_rng(seed)
    positive = rng.random(num_pairs) < 0.3
    scores = np.clip(0.3 + 0.3 * positive + rng.normal(0, 0.15, num_pairs), 0, 1)
    return SplitScores(name, positive, scores, scores**2, rng.random(num_pairs) if control else None)


def figures(value=0.8, low=0.7, high=0.9):
    """As much of `metrics.json` as is drawn."""
    entry = {"metrics": {"auroc": {"value": value, "low": low, "high": high}}}
    strata = {"one seen": entry, "none seen": entry}
    measured = {"splits": {"a $ test": entry | {"strata": strata}}}
    facts = {"num_pairs": 2468, "num_positive": 1000, "strata": {name: {"num_pairs": 1234} for name in strata}}
    return {
        "splits": {"a $ test": facts},
        "model": measured,
        "controls": {"boosting": measured, "degree": measured},
        "comparison": {"a $ test": {"best_control": "boosting", "turned": False}},
    }


@pytest.fixture(autouse=True)
def style():
    with canvas.own_style():
        yield


def pixels(figure):
    """[height, width, 4] float32 in [0, 1]; both files are made, and a warning of one is an error."""
    files = canvas.files("it", figure)
    assert files["it.pdf"].startswith(b"%PDF")
    assert files["it.pdf"].rstrip().endswith(b"%%EOF")
    data = files["it.png"]
    return matplotlib.image.imread(io.BytesIO(data), format="png")


def shows_something(data):
    image = pixels(data)
    assert min(image.shape[:2]) > 400
    levels = np.rint(image[..., :3] * 255).astype(np.int64)
    assert len(np.unique(levels @ [65536, 256, 1])) > 20  # colours
    assert (image[..., :3].min(axis=2) < 0.9).mean() > 0.005  # ink
    return image


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [{"kind": "train", "step": s, "loss": 1 / s, "lr": 1e-3} for s in range(1, 101)]
    lines += [{"kind": "validation", "step": s, "loss": 2 / s, "auroc": 0.5 + s / 250} for s in (50, 100)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_pictures_are_not_empty(log):
    splits = [split("val", 0), split("test", 1)]
    for data in (
        roc_picture(splits, ENCODER),
        precision_recall_picture(splits, ENCODER),
        histogram_picture(splits, 0.45, ENCODER),
        reliability_picture(splits, ENCODER),
        controls_picture(figures(), ENCODER),
        strata_picture(figures(), ENCODER),
        training_picture(log, ENCODER),
    ):
        shows_something(data)


def test_same_input_same_bytes():
    first, second = (canvas.files("roc", roc_picture([split("test", 1)], ENCODER)) for _ in range(2))
    assert first == second
    assert first.keys() == {"roc.png", "roc.pdf"}


def test_encoder_and_control_are_visible():
    plain = pixels(roc_picture([split("test", 1, control=False)], ENCODER))
    other = pixels(roc_picture([split("test", 1, control=False)], "ESMC-300M"))
    title = slice(0, 90)
    assert (plain[title] != other[title]).any()
    dashed = pixels(roc_picture([split("test", 1)], ENCODER))
    assert dashed.shape == plain.shape
    assert (dashed[120:700] != plain[120:700]).any()


def test_single_class_splits_are_left_out_and_names_are_taken_as_they_are():
    alone = SplitScores("_only $x positives$", np.ones(5, dtype=bool), np.linspace(0, 1, 5), np.linspace(0, 1, 5))
    none = SplitScores("none", np.zeros(0, dtype=bool), np.zeros(0), np.zeros(0))
    for data in (
        roc_picture([alone], "a $ sign"),
        precision_recall_picture([alone], "$$"),
        histogram_picture([alone, split("b", 1), split("c", 2), split("d", 3)], math.nan, ENCODER),
        histogram_picture([none], 0.5, ENCODER),
        histogram_picture([], 0.5, ENCODER),
        reliability_picture([alone, none], ENCODER),
        reliability_picture([], ENCODER),
    ):
        pixels(data)


def test_figures_move_the_bars_and_missing_ones_leave_them_out():
    for picture in (controls_picture, strata_picture):
        first, other = pixels(picture(figures(), ENCODER)), pixels(picture(figures(0.6, 0.5, 0.7), ENCODER))
        assert (first != other).any()
        bare = pixels(picture(figures(0.8, None, None), ENCODER))
        assert (first != bare).any()
        pixels(picture(figures(None, None, None), ENCODER))
        pixels(picture({**figures(), "controls": {}, "comparison": {}}, ENCODER))


def test_log_keeps_the_last_of_a_repeated_step_and_forgives_a_torn_end(log):
    with log.open("a") as file:
        file.write('{"kind": "train", "step": 40, "loss": 9.0}\n{"kind": "other", "step": 1}\n{"kind": "tra')
    found = read_training_log(log)
    assert list(found.train_loss) == list(range(1, 101))
    assert found.train_loss[40] == 9.0
    assert list(found.validation_loss) == list(found.auroc) == [50, 100]


def test_damaged_lines_are_left_out_and_said(log, caplog):
    whole = read_training_log(log)
    log.write_bytes(
        b"not json\n" + log.read_bytes() + b'{"kind": "train", "step": "x"}\n{"kind": "\xff"}\n' + b"[" * 10**5 + b"\n"
    )
    assert read_training_log(log) == whole
    assert "metrics.jsonl:1: damaged" in caplog.text
    assert "metrics.jsonl: 4 damaged lines" in caplog.text
    shows_something(training_picture(log, ENCODER))


def test_values_that_are_no_numbers_leave_no_point(log):
    odd = [None, "0.5", [1], {}, True, 1e300, -(10**400), "NaN"]
    with log.open("a") as file:
        file.writelines(json.dumps({"kind": "train", "step": 200 + i, "loss": odd[i]}) + "\n" for i in range(len(odd)))
        file.write(json.dumps({"kind": "validation", "step": 2**53 - 1, "loss": 1e99, "auroc": [0.5]}) + "\n")
    found = read_training_log(log)
    assert max(found.train_loss) == 100
    assert max(found.auroc) == 100
    shows_something(training_picture(log, ENCODER))


@pytest.mark.parametrize(
    "text",
    ["", '{"kind": "train", "step": 1, "loss": null}\n{"kind": "validation", "step": 1, "loss": NaN}\n'],
)
def test_a_log_without_numbers_is_drawn_empty(tmp_path, text):
    path = tmp_path / "metrics.jsonl"
    path.write_text(text)
    pixels(training_picture(path, ENCODER))
