import csv
import io
import json

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from hpc.errors import CorruptError, InputError
from snw_dist.evaluate import report
from snw_dist.evaluate.controls.controls import MEANING
from snw_dist.evaluate.measure.measured import describe, measure_scores, parts_of
from snw_dist.evaluate.measure.verdict import compare
from snw_dist.evaluate.predictions import predictions_csv
from snw_dist.evaluate.report import evaluate_scores
from snw_dist.evaluate.terminal_table import printed
from snw_dist.metrics.metrics import METRICS
from tests.kit.evaluate_tools import good_scores, held_out_pairs

ENCODER = "esmc-tiny-random (random weights)"
PICTURES = ("roc", "precision_recall", "score_histogram", "reliability", "controls", "strata")


@pytest.fixture
def undrawn(monkeypatch):
    """Drawing takes seconds, and `test_everything_is_written_and_agrees` has it."""
    monkeypatch.setattr(report, "_pictures", lambda *_: {})


def evaluate(pairs, folder, scores=None, **changes):
    arguments = {
        "repeats": 50,
        "seed": 1,
        "provenance": {"encoder": ENCODER, "seed": 1},
        "metrics_log": None,
        "folder": folder,
    }
    controls = changes.pop("controls", {})
    scores = good_scores(pairs) if scores is None else scores
    return evaluate_scores(pairs, scores, controls, **(arguments | changes))[0]


def all_controls(pairs):
    return {name: good_scores(pairs, seed, 0.1) for seed, name in enumerate(MEANING)}


def strict(path):
    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def shown(metrics, width=120, all_metrics=False):
    console = Console(file=io.StringIO(), width=width)
    console.print(printed(metrics, all_metrics))
    return console.file.getvalue()


def test_everything_is_written_and_agrees(tmp_path):
    pairs = held_out_pairs()
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"kind": "train", "step": 1, "loss": 0.5}\n')
    folder = tmp_path / "new" / "out"
    controls = {"boosting": good_scores(pairs, 8, 0.3), "degree": np.zeros(len(pairs))}
    metrics = evaluate(pairs, folder, metrics_log=log, controls=controls)
    names = {path.name for path in folder.iterdir()}
    drawn = {f"{name}.{kind}" for name in (*PICTURES, "training_curve") for kind in ("png", "pdf")}
    assert names == drawn | {"metrics.json", "predictions.csv", "predictions.parquet"}
    assert strict(folder / "metrics.json") == metrics
    for name in names:
        if name.endswith(".png"):
            assert min(matplotlib.image.imread(folder / name).shape[:2]) > 300

    assert metrics["provenance"] == {"encoder": ENCODER, "seed": 1}
    assert metrics["meaning"]["metrics"] == METRICS
    parts = parts_of(pairs, 50, 1)
    assert metrics["splits"] == describe(pairs, parts)
    model = measure_scores(pairs, parts, good_scores(pairs), 1)
    assert metrics["model"]["threshold"] == model.threshold
    assert metrics["model"]["calibration"]["method"] == model.calibration.method
    assert metrics["model"]["splits"] == model.splits
    rivals = {name: measure_scores(pairs, parts, scores, 1) for name, scores in controls.items()}
    assert metrics["controls"]["boosting"]["splits"] == rivals["boosting"].splits
    assert metrics["controls"]["degree"]["meaning"] == MEANING["degree"]
    assert metrics["comparison"] == {name: compare(model, rivals, name) for name in ("test", "mixed")}
    table = pd.read_csv(folder / "predictions.csv")
    np.testing.assert_allclose(table["probability"], model.probability)


def test_undefined_figures_are_null(tmp_path):
    pairs = held_out_pairs()
    pairs.loc[pairs["split"] == "test", "positive"] = True
    metrics = evaluate(pairs, tmp_path, provenance={"encoder": ENCODER, "loss": [float("nan"), 1.0]})
    assert strict(tmp_path / "metrics.json") == metrics
    assert metrics["provenance"]["loss"] == [None, 1.0]
    assert metrics["model"]["splits"]["test"]["metrics"]["auroc"] == {"value": None, "low": None, "high": None}
    assert metrics["splits"]["test"]["bootstrap"]["repeats_of_one_class"] == 50
    assert "50 repeats of one class left out" in " ".join(shown(metrics).split())


@pytest.mark.usefixtures("undrawn")
def test_validation_without_positives_still_ranks(tmp_path):
    pairs = held_out_pairs()
    pairs.loc[pairs["split"] == "val", "positive"] = False
    metrics = evaluate(pairs, tmp_path, controls={"degree": np.arange(400.0)})
    assert metrics["model"]["threshold"] is None
    assert metrics["model"]["calibration"]["method"] == "none"
    values = metrics["model"]["splits"]["test"]["metrics"]
    assert values["f1"] == {"value": None, "low": None, "high": None}
    assert values["auroc"]["value"] > 0.5
    assert "threshold -, calibration (none) from val" in shown(metrics)


def test_same_input_same_files(tmp_path):
    pairs = held_out_pairs()
    for name in ("a", "b"):
        evaluate(pairs, tmp_path / name, controls={"noise": good_scores(pairs, 3, 0.1)})
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_predictions_read_back_exactly():
    pairs = held_out_pairs().assign(score=np.float32(0.1), probability=0.1 + 0.2, extra=1)
    pairs["score"] *= np.arange(400)
    text = predictions_csv(pairs)
    numbers = dict.fromkeys(("label", "score", "probability"), "float64")
    back = pd.DataFrame(list(csv.DictReader(io.StringIO(text)))).astype({**numbers, "positive": "int64"})
    assert list(back.columns) == [
        *("ligand_id", "receptor_id", "label", "positive", "split", "stratum", "score", "probability")
    ]
    for name in numbers:
        np.testing.assert_array_equal(back[name], pairs[name].astype(np.float64))
    np.testing.assert_array_equal(back["positive"] == 1, pairs["positive"])
    assert list(back["receptor_id"]) == list(pairs["receptor_id"])
    assert predictions_csv(back) == text


@pytest.mark.usefixtures("undrawn")
def test_names_that_are_formulas_are_quoted_in_csv_and_exact_in_parquet(tmp_path):
    pairs = held_out_pairs()
    ids = ["=1+1", "@SUM(A1)", "-x", "+x"] * 100
    evaluate(pairs.assign(ligand_id=ids), tmp_path)
    assert list(pd.read_parquet(tmp_path / "predictions.parquet")["ligand_id"]) == ids
    assert list(pd.read_csv(tmp_path / "predictions.csv")["ligand_id"]) == [f"'{name}" for name in ids]


def dotted(metric):
    return [f"{metric[key]:.3f}".replace("0.", ".") for key in ("value", "low", "high")]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Every control, long names and large numbers: as wide as a table comes."""
    pairs = held_out_pairs(num_pairs=20_000)
    pairs["split"] = pairs["split"].replace("test", "test_unseen_receptor")
    folder = tmp_path_factory.mktemp("large")
    controls = all_controls(pairs) | {"shuffled_receptor": -good_scores(pairs, 3, 0.3)}
    learned = {"boosting": {"num_pairs": 1500, "num_train": 68_719}, "degree": {"num_pairs": 9, "num_train": 9}}
    evaluate(pairs, folder, controls=controls, repeats=5, learned_from=learned)
    return strict(folder / "metrics.json")


def test_the_table_has_three_columns_and_fits_80(large):
    text = shown(large, width=80)
    lines = text.splitlines()
    table = lines[: next(number for number, line in enumerate(lines) if line.startswith("*: "))]
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["split", "AUROC", "AUPRC", "rho", "best", "control"]
    rows = [line for line in table if line.strip()][3:]
    assert len(rows) == 2 * 5, "two lines for each of three splits and two strata, none of them folded"
    at = next(number for number, line in enumerate(lines) if line.startswith("test_unseen_receptor "))
    figures = {name: dotted(large["model"]["splits"]["test_unseen_receptor"]["metrics"][name]) for name in
               ("auroc", "auprc", "spearman")}  # fmt: skip
    assert lines[at].split()[1:] == [*(value for value, _, _ in figures.values()), "shuffled_receptor*"]
    control = large["controls"]["shuffled_receptor"]["splits"]["test_unseen_receptor"]["metrics"]["auroc"]
    value, high, low = dotted({name: 1 - control[name] for name in control})
    entry = large["splits"]["test_unseen_receptor"]
    assert " ".join(lines[at + 1].split()) == " ".join(
        [f"{entry['num_pairs']:,}, {entry['num_positive']:,} pos."]
        + [f"[{low}, {high}]" for _, low, high in figures.values()]
        + [f"{value} [{low}, {high}]"]
    )
    assert "7 receptors (few, so coarse)" in " ".join(text.split())
    assert f"shuffled_receptor: {MEANING['shuffled_receptor']}" in " ".join(text.split())
    assert "neighbour:" not in text, "what is not in the table is not explained"
    assert "*: ranks backwards" in text
    assert "--all-metrics" in text
    assert large["comparison"]["mixed"]["sentence"] in " ".join(text.split())


def test_all_metrics_are_three_tables_that_fit_80(large):
    text = shown(large, 80, all_metrics=True)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    headings = [line.split() for line in lines if line.startswith("split ")]
    assert [len(line) for line in headings] == [1 + 2 * 3, 1 + 5, 1 + 5]
    for name in MEANING:
        assert sum(line.startswith(f"  {name} ") for line in lines) >= 9, name  # in each split and table, on one line
        assert f"{name}: {MEANING[name]}" in " ".join(text.split())
    auroc = large["model"]["splits"]["val"]["metrics"]["auroc"]
    row = next(line for line in lines if line.startswith("  model "))
    assert row.split()[1:4] == [dotted(auroc)[0], f"[{dotted(auroc)[1]},", f"{dotted(auroc)[2]}]"]
    assert [line for line in lines if line.strip() == "none seen"]


def test_what_a_control_was_learned_from_is_kept_and_told(large):
    assert large["controls"]["boosting"]["learned_from"] == {"num_pairs": 1500, "num_train": 68_719}
    assert large["controls"]["noise"]["learned_from"] is None
    text = " ".join(shown(large, 80).split())
    assert "boosting: learned from 1,500 of 68,719 training pairs, drawn by chance" in text
    assert "degree: learned from" not in text


def test_rank_correlation_is_a_column_only_where_labels_are_graded(tmp_path):
    pairs = held_out_pairs()
    pairs["label"] = pairs["positive"].astype(float)
    metrics = evaluate(pairs, tmp_path, controls={"degree": good_scores(pairs, 2)})
    assert shown(metrics).splitlines()[0].split() == ["split", "AUROC", "AUPRC", "best", "control"]
    pairs.loc[pairs["split"] == "mixed", "label"] *= 0.7
    assert "rho" in shown(evaluate(pairs, tmp_path)).splitlines()[0].split()


def test_a_split_of_one_class_shows_the_control_of_best_rank_correlation(tmp_path):
    pairs = held_out_pairs()
    pairs.loc[pairs["split"] == "test", "positive"] = True
    lines = shown(evaluate(pairs, tmp_path, controls={"degree": good_scores(pairs, 2)}), 80).splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("test "))
    assert lines[at].split()[:3] == ["test", "-", "-"]
    assert lines[at].split()[-1] == "degree"
    assert " rho ." in lines[at + 1]


@pytest.mark.usefixtures("undrawn")
def test_without_controls_and_repeats_the_table_is_short(tmp_path):
    text = shown(evaluate(held_out_pairs(), tmp_path, repeats=0))
    assert "[" not in text.split("encoder")[0]
    assert "bootstrap" not in text
    assert "cannot be compared" in text


@pytest.mark.usefixtures("undrawn")
def test_missing_things_are_named_and_nothing_is_written(tmp_path):
    pairs = held_out_pairs()
    damaged = good_scores(pairs)
    damaged[[3, 4]] = np.nan
    for changed, arguments, error, match in (
        (pairs.drop(columns=["stratum", "label"]), {}, InputError, "no column label, stratum"),
        (pairs[pairs["split"] != "val"], {}, InputError, "none in split 'val'"),
        (pairs, {"provenance": {}}, InputError, "encoder"),
        (pairs, {"scores": damaged}, CorruptError, "2 of 400 scores are not finite"),
    ):
        arguments.setdefault("scores", np.zeros(len(changed)))
        with pytest.raises(error, match=match):
            evaluate(changed, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
