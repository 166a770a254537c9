"""From a table of predictions to `metrics.json`, `predictions.csv`, the pictures and the printed table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich import box
from rich.table import Table
from rich.text import Text

from hpc.errors import InputError
from hpc.files import atomic_write_bytes
from snw_dist.evaluate import pictures
from snw_dist.evaluate.bootstrap import bootstrap_intervals
from snw_dist.evaluate.metrics import (
    METRIC_NAMES,
    BoolArray,
    FloatArray,
    choose_threshold,
    classification_metrics,
    spearman,
)

COLUMNS = ("ligand_id", "receptor_id", "label", "positive", "split", "score")
TRAIN = "train"
LEVEL = 0.95
FEW_RECEPTORS = 20
"""With fewer receptors than this the table says that intervals by receptor are coarse."""


def evaluate_predictions(
    predictions: pd.DataFrame,
    *,
    threshold_split: str = "val",
    repeats: int,
    seed: int,
    provenance: Mapping[str, Any],
    baseline: Mapping[str, npt.ArrayLike] | None,
    metrics_log: Path | None,
    folder: Path,
) -> dict[str, Any]:
    """Measure, write everything into `folder`, and return what `metrics.json` holds.

    predictions: one row a pair, with the columns of `COLUMNS`; baseline: name to scores, [rows] float each.
    `provenance["encoder"]` is the text on every picture and under the table, such as 'esmc-tiny-random
    (random weights)'. The decision threshold comes from `threshold_split` alone, one for the model and one
    for each baseline, and holds for every split. Intervals are by receptor where a split has two or more.
    `metrics.json` is written last: a folder that has it is complete. Undefined numbers are None (null).

    Raises `InputError` when a column, the encoder's text or the threshold split is missing, `CorruptError`
    when scores are not finite; nothing is written then.
    """
    _check(predictions, threshold_split, provenance)
    scores = _numbers(predictions["score"])
    others = {name: _numbers(values) for name, values in (baseline or {}).items()}
    positive = predictions["positive"].to_numpy(dtype=np.bool_)
    names = _split_names(predictions["split"])
    rows = {name: np.flatnonzero(predictions["split"].to_numpy() == name) for name in names}
    choosing = rows[threshold_split]

    def threshold_of(values: FloatArray) -> float:
        return choose_threshold(positive[choosing], values[choosing])

    def measured(values: FloatArray) -> dict[str, dict[str, Any]]:
        limit = threshold_of(values)
        return {name: _measure(predictions, values, rows[name], limit, repeats, seed) for name in names}

    metrics: dict[str, Any] = _without_nan(
        {
            "provenance": dict(provenance),
            "threshold": {
                "split": threshold_split,
                "rule": "largest F1; a pair is positive when score >= threshold",
                "model": threshold_of(scores),
                "baseline": {name: threshold_of(values) for name, values in others.items()},
            },
            "bootstrap": {"repeats": repeats, "seed": seed, "level": LEVEL, "kind": "percentile"},
            "splits": measured(scores),
            "baseline": {name: measured(values) for name, values in others.items()},
        }
    )
    drawn = _pictures(predictions, scores, others, rows, threshold_split, threshold_of(scores), provenance, metrics_log)
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").unlink(missing_ok=True)  # of an earlier evaluation: it would vouch for a mixture
    for name, data in drawn.items():
        atomic_write_bytes(folder / name, data)
    atomic_write_bytes(folder / "predictions.csv", predictions_csv(predictions).encode("utf-8"))
    atomic_write_bytes(folder / "metrics.json", text.encode("utf-8"))
    return metrics


def predictions_csv(predictions: pd.DataFrame) -> str:
    """The columns of `COLUMNS` as CSV: rows as they come, `positive` as 0 / 1.

    Numbers are float64 in the shortest form that an exact reader, such as `float`, reads back as the same.
    """
    table = predictions.loc[:, list(COLUMNS)].astype({"label": "float64", "score": "float64", "positive": "bool"})
    return table.astype({"positive": "int8"}).to_csv(index=False, lineterminator="\n")


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """What `evaluate_predictions` returned, or `metrics.json` read back, for the terminal."""
    bootstrap, threshold = metrics["bootstrap"], metrics["threshold"]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    table.caption = _caption(metrics)
    table.add_column("split", overflow="fold")
    interval = f" [{bootstrap['level']:.0%}]" if bootstrap["repeats"] else ""
    for heading in ("pairs", "pos.", f"AUROC{interval}", "AUPRC", "MCC", "F1"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    models = {"model": metrics["splits"]}
    models |= {f"baseline: {name}": splits for name, splits in metrics["baseline"].items()}
    for split, model in metrics["splits"].items():
        mark = " *" if split == threshold["split"] else ""
        table.add_row(Text(split + mark), f"{model['num_pairs']:,}", f"{model['num_positive']:,}", style="bold")
        for number, (name, splits) in enumerate(models.items(), start=1):
            values = splits[split]["metrics"]
            table.add_row(
                Text(f"  {name}"),
                "",
                "",
                Text(_with_interval(values["auroc"])),
                *(_decimal(values[metric]["value"]) for metric in ("auprc", "mcc", "f1")),
                end_section=number == len(models),
            )
    return table


def _check(predictions: pd.DataFrame, threshold_split: str, provenance: Mapping[str, Any]) -> None:
    missing = [name for name in COLUMNS if name not in predictions.columns]
    if missing:
        raise InputError(f"predictions: no column {', '.join(missing)}; there are {', '.join(predictions.columns)}.")
    if not isinstance(provenance.get("encoder"), str):
        raise InputError("provenance: 'encoder' must say in words which encoder and weights made the embeddings.")
    splits = list(predictions["split"].unique())
    if threshold_split not in splits:
        raise InputError(
            f"predictions: no pair in split {threshold_split!r}, which the threshold is chosen on; "
            f"there are {', '.join(map(str, splits))}."
        )


def _measure(
    predictions: pd.DataFrame,
    scores: FloatArray,
    rows: npt.NDArray[np.intp],
    threshold: float,
    repeats: int,
    seed: int,
) -> dict[str, Any]:
    """One entry of `splits`: rows are those of one split in `predictions` and `scores`."""
    part = predictions.iloc[rows]
    positive: BoolArray = part["positive"].to_numpy(dtype=np.bool_)
    values = classification_metrics(positive, scores[rows], threshold)
    receptors = part["receptor_id"].to_numpy(dtype=str)
    result = bootstrap_intervals(positive, scores[rows], threshold, receptors, repeats, seed, LEVEL)
    return {
        "num_pairs": int(rows.size),
        "num_positive": int(positive.sum()),
        "metrics": {
            name: {"value": values[name], "low": result.intervals[name][0], "high": result.intervals[name][1]}
            for name in METRIC_NAMES
        },
        "spearman": spearman(part["label"], scores[rows]),
        "bootstrap": {
            "unit": "receptor" if result.unit == "group" else "pair",
            "num_units": result.num_units,
            "dropped": result.dropped,
        },
    }


def _pictures(
    predictions: pd.DataFrame,
    scores: FloatArray,
    others: Mapping[str, FloatArray],
    rows: Mapping[str, npt.NDArray[np.intp]],
    threshold_split: str,
    threshold: float,
    provenance: Mapping[str, Any],
    metrics_log: Path | None,
) -> dict[str, bytes]:
    """File name to PNG; of several baselines the one with the best AUROC on the threshold split is drawn."""
    positive = predictions["positive"].to_numpy(dtype=np.bool_)
    encoder: str = provenance["encoder"]
    choosing = rows[threshold_split]

    def strength(name: str) -> float:
        values = classification_metrics(positive[choosing], others[name][choosing], math.nan)
        return -1.0 if math.isnan(values["auroc"]) else values["auroc"]

    strongest = max(others, key=strength, default=None)
    shown = [
        pictures.SplitScores(name, positive[at], scores[at], None if strongest is None else others[strongest][at])
        for name, at in rows.items()
        if name != TRAIN or name == threshold_split
    ]
    label = f"baseline: {strongest}"
    tested = [split for split in shown if split.name != threshold_split]
    drawn = {
        "roc.png": pictures.roc_picture(shown, encoder, label),
        "precision_recall.png": pictures.precision_recall_picture(shown, encoder, label),
        "score_histogram.png": pictures.histogram_picture(tested or shown, threshold, encoder),
    }
    if metrics_log is not None and metrics_log.exists():
        drawn["training_curve.png"] = pictures.training_picture(metrics_log, encoder)
    return drawn


def _numbers(values: npt.ArrayLike | pd.Series[Any]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _split_names(splits: Iterable[Any]) -> list[str]:
    """The distinct names: train, val and test first, others in alphabetical order."""
    first = {TRAIN: 0, "val": 1, "test": 2}
    return sorted({str(name) for name in splits}, key=lambda name: (first.get(name, 3), name))


def _without_nan(value: Any) -> Any:
    """The same structure with None for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _caption(metrics: Mapping[str, Any]) -> Text:
    threshold, bootstrap = metrics["threshold"], metrics["bootstrap"]
    lines = [
        f"encoder: {metrics['provenance']['encoder']}",
        f"pos.: positive pairs; *: gave the threshold {_decimal(threshold['model'])} and each baseline's own",
    ]
    if bootstrap["repeats"]:
        lines.append(f"[{bootstrap['level']:.0%}]: bootstrap interval of {bootstrap['repeats']:,} repeats")
        for name, split in metrics["splits"].items():
            units = split["bootstrap"]
            few = units["unit"] == "receptor" and units["num_units"] < FEW_RECEPTORS
            dropped = f", {units['dropped']} repeats of one class left out" if units["dropped"] else ""
            coarse = " (few, so coarse)" if few else ""
            lines.append(f"{name}: intervals resample {units['num_units']:,} {units['unit']}s{coarse}{dropped}")
    return Text("\n".join(lines))


def _with_interval(metric: Mapping[str, float | None]) -> str:
    if metric["low"] is None:
        return _decimal(metric["value"])
    return f"{_decimal(metric['value'])} [{_decimal(metric['low'])}, {_decimal(metric['high'])}]"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
