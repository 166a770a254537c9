"""From scores to `metrics.json`, predictions and the pictures; `printed` has the table for the terminal."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from hpc.disk.folder import new_folder
from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError, InputError
from hpc.told import did, long_work
from snw_dist.arrays import FloatArray
from snw_dist.config import ControlName
from snw_dist.evaluate.controls.controls import MEANING
from snw_dist.evaluate.measure.held_out import TRAIN, VAL
from snw_dist.evaluate.measure.measured import Measured, Part, describe, measure_scores, parts_of
from snw_dist.evaluate.measure.verdict import judge, turned
from snw_dist.evaluate.pictures import auroc_bars as bars
from snw_dist.evaluate.pictures import curves as pictures
from snw_dist.evaluate.pictures import style as canvas
from snw_dist.evaluate.pictures.training_curve import training_picture
from snw_dist.evaluate.predictions import write_predictions
from snw_dist.metrics.bootstrap import LEVEL
from snw_dist.metrics.metrics import METRICS

log = logging.getLogger(__name__)
_MOST_BYTES = 2**28
_FILES = ("metrics.json", "predictions.*", "*.png", "*.pdf")
"""What an evaluation writes: what else is in its folder belongs to somebody else, and stays there."""
COLUMNS = ("ligand_id", "receptor_id", "receptor", "label", "positive", "split", "stratum")
_TERMS = {
    "metrics": METRICS,
    "threshold": f"of largest F1 on {VAL}; a pair is called positive when score >= threshold",
    "calibration": f"fitted on {VAL}, so figures of {VAL} itself are flattered; `uncalibrated` is before",
    "low, high": f"{LEVEL:.0%} bootstrap interval (percentile), by receptor sequence where there are two",
    "strata": "how many of a pair's two sequences occur on the same side of a training pair",
}
_SYMMETRIC = {
    "low, high": f"{LEVEL:.0%} bootstrap interval (percentile), by protein sequence of either side; none of hit@k",
    "strata": "how many of a pair's two sequences occur in a training pair, on either side",
    "receptor": "the sides mean nothing (data.symmetric): where metrics speak of a receptor, it is a protein of either",
}


def evaluate_scores(
    pairs: pd.DataFrame,
    scores: FloatArray,
    controls: Mapping[ControlName, FloatArray],
    *,
    repeats: int,
    seed: int,
    provenance: Mapping[str, Any],
    metrics_log: Path | None,
    folder: Path,
    symmetric: bool = False,
    learned_from: Mapping[ControlName, Mapping[str, int]] = MappingProxyType({}),
    last_check: Callable[[], None] = lambda: None,
    measured: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[dict[str, Any], Measured]:
    """Measure, write everything into `folder`, and return what `metrics.json` holds, and the model's measures.

    pairs: one row a pair, with the columns of `COLUMNS`, see `pairs.pairs_of`; scores and each of controls: [rows].
    With `symmetric` a sequence counts whichever side it stands on. `provenance["encoder"]` is the text on every picture
    and under the table, such as 'esmc-tiny-random (random weights)'. Threshold and calibration come from the split
    `val` alone, for the model and for each control, and hold for every split. `learned_from`: how many of the training
    pairs a control has learned from, see `learned`. The folder appears at once when all is written and `last_check` has
    raised nothing; until then, and when anything fails, an older one stays whole. Undefined numbers are None (null).
    `measured` is called with how many sets of scores, of how many, have been measured.

    Raises `InputError` when a column, the encoder's text or the split `val` is missing, `CorruptError` when scores are
    not finite; nothing is written then.
    """
    _check(pairs, provenance)
    parts = parts_of(pairs, repeats, seed, symmetric)
    model, rivals = _measure_all(pairs, parts, scores, controls, seed, measured)
    about = {
        "provenance": dict(provenance),
        "meaning": _TERMS | (_SYMMETRIC if symmetric else {}),
        "bootstrap": {"repeats": repeats, "seed": seed, "level": LEVEL},
    }
    figures = _figures(describe(pairs, parts), model, rivals, controls, learned_from)
    metrics: dict[str, Any] = without_nan(about | figures)
    with long_work("drawing the pictures"), canvas.own_style():
        drawn = _pictures(pairs, scores, model, controls, metrics)
        drawn |= _of_training(metrics_log, canvas.about(provenance))
    _write(folder, metrics, pairs.assign(score=scores, probability=model.probability), drawn, last_check)
    return metrics, model


def read_metrics(folder: Path) -> dict[str, Any]:
    """What an evaluation has left in `folder`; raises `CorruptError` where that cannot be read."""
    file = folder / "metrics.json"
    try:
        values = read_json(file, _MOST_BYTES)
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{file}: cannot be read: {error}. Make it again: snw-dist evaluate") from None
    if not isinstance(values, dict):
        raise CorruptError(f"{file}: no object with keys and values. Make it again: snw-dist evaluate")
    return values


def _check(pairs: pd.DataFrame, provenance: Mapping[str, Any]) -> None:
    missing = [name for name in COLUMNS if name not in pairs.columns]
    if missing:
        raise InputError(f"pairs: no column {', '.join(missing)}; there are {', '.join(pairs.columns)}.")
    if not isinstance(provenance.get("encoder"), str):
        raise InputError("provenance: 'encoder' must say in words which encoder and weights made the embeddings.")
    if not (pairs["split"] == VAL).any():
        raise InputError(
            f"pairs: none in split {VAL!r}, which threshold and calibration are chosen on; "
            f"there are {', '.join(map(str, pairs['split'].unique()))}."
        )


def _measure_all(
    pairs: pd.DataFrame,
    parts: Sequence[Part],
    scores: FloatArray,
    controls: Mapping[ControlName, FloatArray],
    seed: int,
    measured: Callable[[int, int], None],
) -> tuple[Measured, dict[str, Measured]]:
    """The model and each control; `measured` is called before each of them, and at the end."""
    total = 1 + len(controls)
    measured(0, total)
    with long_work("measuring the model and its controls", total, "sets of scores"):
        model = measure_scores(pairs, parts, scores, seed, "model")
        rivals: dict[str, Measured] = {}
        for number, (control, values) in enumerate(controls.items(), 1):
            did("sets of scores")
            measured(number, total)
            rivals[control] = measure_scores(pairs, parts, values, seed, control)
    measured(total, total)
    return model, rivals


def _figures(
    splits: dict[str, dict[str, Any]],
    model: Measured,
    rivals: Mapping[str, Measured],
    controls: Collection[ControlName],
    learned_from: Mapping[ControlName, Mapping[str, int]],
) -> dict[str, Any]:
    """What each split holds, the model and the controls there, and how the model compares with them."""
    return {
        "splits": splits,
        "model": model.plain(),
        "controls": {
            name: {"meaning": MEANING[name], "learned_from": learned_from.get(name), **rivals[name].plain()}
            for name in controls
        },
        "comparison": {
            name: judge(model, rivals, name, facts) for name, facts in splits.items() if name not in (TRAIN, VAL)
        },
    }


def _write(
    folder: Path,
    metrics: Mapping[str, Any],
    predictions: pd.DataFrame,
    drawn: Mapping[str, bytes],
    last_check: Callable[[], None],
) -> None:
    """The folder appears at once, with all that is given, when `last_check` has raised nothing."""
    text = json.dumps(metrics, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    with new_folder(folder, ours=_FILES) as fresh:
        for name, data in drawn.items():
            (fresh / name).write_bytes(data)
        write_predictions(fresh, "predictions", predictions)
        (fresh / "metrics.json").write_text(text, encoding="utf-8")
        last_check()


def _pictures(
    pairs: pd.DataFrame,
    scores: FloatArray,
    model: Measured,
    controls: Mapping[ControlName, FloatArray],
    metrics: Mapping[str, Any],
) -> dict[str, bytes]:
    """File name to bytes. Beside the model one control is drawn in all splits, and the legends name it.

    It is the one with the best AUROC on `val`, turned round if it ranks backwards there: choices are never made on
    test. So it may not be the best one of a test split, which `controls` and `strata` show. None is drawn where `val`
    has one class.
    """
    of = canvas.about(metrics["provenance"])
    positive = pairs["positive"].to_numpy(dtype=np.bool_)

    aurocs = {name: metrics["controls"][name]["splits"][VAL]["metrics"]["auroc"]["value"] for name in controls}
    strength = {name: max(value, turned(value, "auroc")) for name, value in aurocs.items() if value is not None}
    strongest = max(strength, key=strength.__getitem__, default=None)
    backwards = strongest is not None and strength[strongest] > aurocs[strongest]
    title = f"{strongest}, turned round" if backwards else str(strongest)
    shown = []
    for name in metrics["splits"]:
        at = np.flatnonzero(pairs["split"] == name)
        other = None if strongest is None else controls[strongest][at] * (-1.0 if backwards else 1.0)
        shown.append(pictures.SplitScores(name, positive[at], scores[at], model.probability[at], other))
    tested = [split for split in shown if split.name != VAL] or shown
    figures = {
        "roc": pictures.roc_picture(shown, of, title),
        "precision_recall": pictures.precision_recall_picture(shown, of, title),
        "score_histogram": pictures.histogram_picture(tested, model.threshold, of),
        "reliability": pictures.reliability_picture(tested, of),
        "controls": bars.controls_picture(metrics, of),
        "strata": bars.strata_picture(metrics, of),
    }
    return {name: data for key, figure in figures.items() for name, data in canvas.files(key, figure).items()}


def _of_training(metrics_log: Path | None, of: str) -> dict[str, bytes]:
    """The course of training, where it is known: it is no result, and a log that is damaged spoils none."""
    if metrics_log is None or not metrics_log.exists():
        return {}
    try:
        return canvas.files("training_curve", training_picture(metrics_log, of))
    except (CorruptError, OSError) as error:
        log.warning("no picture of the training: %s", error)
        return {}


def without_nan(value: Any) -> Any:
    """The same structure with None for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
