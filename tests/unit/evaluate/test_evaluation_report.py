import csv
import io
import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hpc.errors import CorruptError, InputError
from snw_dist.evaluate.metrics import METRIC_NAMES, choose_threshold, classification_metrics, spearman
from snw_dist.evaluate.report import evaluate_predictions, metrics_table, predictions_csv

ENCODER = "esmc-tiny-random (random weights)"
PICTURES = {"roc.png", "precision_recall.png", "score_histogram.png"}


def predictions(seed=0, num_pairs=400):
    rng = np.random.default_rng(seed)
    label = rng.random(num_pairs)
    return pd.DataFrame(
        {
            "ligand_id": [f"ligand {i}" for i in range(num_pairs)],
            "receptor_id": [f"receptor, {i % 7}" for i in range(num_pairs)],
            "label": label,
            "positive": label > 0.6,
            "split": rng.choice(["test", "val", "test_unseen"], num_pairs),
            "score": (0.5 * label + 0.5 * rng.random(num_pairs)).astype(np.float32),
        }
    )


def evaluate(table, folder, **changes):
    arguments = {
        "repeats": 50,
        "seed": 1,
        "provenance": {"encoder": ENCODER, "seed": 1},
        "baseline": None,
        "metrics_log": None,
        "folder": folder,
    }
    return evaluate_predictions(table, **(arguments | changes))


def strict(path):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def printed(metrics, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(metrics_table(metrics))
    return console.file.getvalue()


def test_everything_is_written_and_agrees(tmp_path):
    table = predictions()
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"kind": "train", "step": 1, "loss": 0.5}\n')
    metrics = evaluate(table, tmp_path / "new" / "out", metrics_log=log)
    folder = tmp_path / "new" / "out"
    names = {path.name for path in folder.iterdir()}
    assert names == PICTURES | {"training_curve.png", "metrics.json", "predictions.csv"}
    assert strict(folder / "metrics.json") == metrics
    assert metrics["provenance"] == {"encoder": ENCODER, "seed": 1}
    assert list(metrics["splits"]) == ["val", "test", "test_unseen"]
    for name in names:
        if name.endswith(".png"):
            image = matplotlib.image.imread(folder / name)
            assert min(image.shape[:2]) > 400

    val = table[table["split"] == "val"]
    threshold = choose_threshold(val["positive"], val["score"])
    assert metrics["threshold"]["model"] == threshold
    for split, entry in metrics["splits"].items():
        part = table[table["split"] == split]
        assert entry["num_pairs"] == len(part)
        assert entry["num_positive"] == part["positive"].sum()
        assert entry["spearman"] == spearman(part["label"], part["score"])
        assert entry["bootstrap"] == {"unit": "receptor", "num_units": 7, "dropped": 0}
        for name, value in classification_metrics(part["positive"], part["score"], threshold).items():
            assert entry["metrics"][name]["value"] == value
            assert entry["metrics"][name]["low"] <= value <= entry["metrics"][name]["high"]


def test_held_out_splits_do_not_move_the_threshold(tmp_path):
    table = predictions()
    first = evaluate(table, tmp_path, repeats=0)
    held_out = table["split"] != "val"
    table.loc[held_out, "positive"] = ~table.loc[held_out, "positive"]
    second = evaluate(table, tmp_path, repeats=0)
    assert "bootstrap" not in printed(first)
    assert first["threshold"] == second["threshold"]
    assert first["splits"]["val"] == second["splits"]["val"]
    assert first["splits"]["test"] != second["splits"]["test"]


def test_each_baseline_has_its_own_threshold(tmp_path):
    table = predictions()
    # A baseline on another scale: the same ranking, so the same figures, at its own threshold.
    scaled = table["score"].to_numpy(dtype=np.float64) * 100 - 7
    metrics = evaluate(table, tmp_path, baseline={"same": scaled, "noise": np.arange(400.0)})
    assert metrics["threshold"]["baseline"]["same"] == pytest.approx(metrics["threshold"]["model"] * 100 - 7)
    for split, entry in metrics["splits"].items():
        assert metrics["baseline"]["same"][split]["metrics"] == entry["metrics"]
        assert metrics["baseline"]["noise"][split]["metrics"] != entry["metrics"]


def test_undefined_figures_are_null(tmp_path):
    table = predictions()
    table.loc[table["split"] == "test", "positive"] = True
    metrics = evaluate(table, tmp_path, provenance={"encoder": ENCODER, "loss": [float("nan"), 1.0]})
    assert strict(tmp_path / "metrics.json") == metrics
    assert metrics["provenance"]["loss"] == [None, 1.0]
    assert metrics["splits"]["test"]["metrics"]["auroc"] == {"value": None, "low": None, "high": None}
    assert metrics["splits"]["test"]["bootstrap"]["dropped"] == 50
    assert "50 repeats of one class left out" in " ".join(printed(metrics).split())


def test_validation_without_positives_still_ranks(tmp_path):
    table = predictions()
    table.loc[table["split"] == "val", "positive"] = False
    metrics = evaluate(table, tmp_path, baseline={"noise": np.arange(400.0)})
    assert metrics["threshold"]["model"] is None
    assert metrics["splits"]["test"]["metrics"]["f1"]["value"] is None
    assert metrics["splits"]["test"]["metrics"]["auroc"]["value"] > 0.5
    assert printed(metrics)


def test_same_input_same_files(tmp_path):
    for name in ("a", "b"):
        evaluate(predictions(), tmp_path / name, baseline={"noise": np.arange(400.0)})
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_predictions_read_back_exactly():
    table = predictions()
    text = predictions_csv(table.assign(extra=1))
    back = pd.DataFrame(list(csv.DictReader(io.StringIO(text)))).astype(
        {"label": "float64", "score": "float64", "positive": "int64"}
    )
    assert list(back.columns) == ["ligand_id", "receptor_id", "label", "positive", "split", "score"]
    np.testing.assert_array_equal(back["score"], table["score"].astype(np.float64))
    np.testing.assert_array_equal(back["label"], table["label"])
    np.testing.assert_array_equal(back["positive"] == 1, table["positive"])
    assert list(back["receptor_id"]) == list(table["receptor_id"])
    assert predictions_csv(back) == text


def test_table_fits_a_terminal_and_names_the_random_weights(tmp_path):
    table = predictions()
    table["split"] = table["split"].replace("test_unseen", "test_unseen_receptor")
    metrics = evaluate(table, tmp_path, baseline={"both": np.arange(400.0)})
    text = printed(strict(tmp_path / "metrics.json"))
    assert f"encoder: {ENCODER}" in text
    assert "7 receptors (few, so coarse)" in text
    entry = metrics["splits"]["test_unseen_receptor"]
    counts = next(line.split() for line in text.splitlines() if line.startswith("test_unseen_receptor "))
    assert counts == ["test_unseen_receptor", str(entry["num_pairs"]), str(entry["num_positive"])]
    for name in METRIC_NAMES:
        assert f"{entry['metrics'][name]['value']:.3f}" in text
    auroc = entry["metrics"]["auroc"]
    assert f"{auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]" in text
    assert text.count("baseline: both") == 3


def test_missing_things_are_named_and_nothing_is_written(tmp_path):
    table = predictions()
    damaged = table.copy()
    damaged.loc[[3, 4], "score"] = np.nan
    for changed, arguments, error, match in (
        (table.drop(columns=["score", "label"]), {}, InputError, "no column label, score"),
        (table, {"threshold_split": "validation"}, InputError, "no pair in split 'validation'"),
        (table, {"provenance": {}}, InputError, "encoder"),
        (damaged, {}, CorruptError, "scores are not finite"),
    ):
        with pytest.raises(error, match=match):
            evaluate(changed, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_no_stale_metrics_beside_new_files(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")  # of an earlier evaluation
    (tmp_path / "predictions.csv").mkdir()  # writing it fails: the old figures must not vouch for the rest
    with pytest.raises(OSError, match=r"predictions\.csv"):
        evaluate(predictions(1), tmp_path)
    assert not (tmp_path / "metrics.json").exists()
