"""Does a model beat the controls? The difference to the best of them, paired by bootstrap repeat, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

from snw_dist.data.summary import too_few
from snw_dist.evaluate.bootstrap import interval
from snw_dist.evaluate.measure import DECISIVE, Measured
from snw_dist.evaluate.ranked import FloatArray

_Value = TypeVar("_Value", float, FloatArray)
_NAMES = {"auroc": "AUROC", "spearman": "rank correlation"}


def compare(model: Measured, controls: Mapping[str, Measured], split: str, name: str = "the model") -> dict[str, Any]:
    """The model beside the control that is best in this very split, which favours the control.

    A control that ranks backwards tells as much as one that ranks forwards: it counts as turned round (`turned`).

    They are compared by AUROC, or where a split has one class by rank correlation. Returns `metric`, `best_control`,
    `turned`, `model`, `control`, `difference` (value, low, high of the 95 % interval of model minus control, both on
    the same resampled pairs), `verdict` (`beats`, `is not told apart from`, `is worse than` or `cannot be compared
    with`) and `sentence`. The verdict is that of the interval; without repeats nothing is told apart.
    """
    for metric in DECISIVE:
        own = _value(model, split, metric)
        values = {key: _value(control, split, metric) for key, control in controls.items()}
        rivals = {key: max(value, turned(value, metric)) for key, value in values.items() if not math.isnan(value)}
        if not math.isnan(own) and rivals:
            break
    else:
        sentence = f"{split}: {name} cannot be compared with controls: there are none, or nothing is defined here."
        return {
            **dict.fromkeys(("metric", "best_control", "turned", "model", "control", "difference")),
            "verdict": "cannot be compared with",
            "sentence": sentence,
        }
    best = max(rivals, key=rivals.__getitem__)
    difference = own - rivals[best]
    backwards, repeats = rivals[best] > values[best], controls[best].repeats[split][metric]
    low, high = interval(model.repeats[split][metric] - (turned(repeats, metric) if backwards else repeats))
    shown = f"{best}, turned round" if backwards else best
    verdict = "beats" if low > 0 else "is worse than" if high < 0 else "is not told apart from"
    of_interval = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
    return {
        "metric": metric,
        "best_control": best,
        "turned": backwards,
        "model": own,
        "control": rivals[best],
        "difference": {"value": difference, "low": low, "high": high},
        "verdict": verdict,
        "sentence": f"{split}: {name} {verdict} the best control ({shown}): {_NAMES[metric]} {own:.3f} against "
        f"{rivals[best]:.3f}, difference {difference:+.3f}{of_interval}.",
    }


def judge(
    model: Measured,
    controls: Mapping[str, Measured],
    split: str,
    facts: Mapping[str, Any],
    name: str = "the model",
) -> dict[str, Any]:
    """As `compare`, but with the verdict `has too few pairs to be compared with` where the split has too few.

    facts: what the split has, see `measure.describe`.
    """
    found = compare(model, controls, split, name)
    why = too_few(facts["num_pairs"], facts["num_positive"])
    if why is None or found["metric"] is None:
        return found
    sentence = f"{split}: no verdict on {name}: {why}."
    return found | {"verdict": "has too few pairs to be compared with", "sentence": sentence}


def turned_round(measured: Mapping[str, Mapping[str, Any]], split: str) -> str | None:
    """A line about the controls that surely rank a split backwards, by their interval; None where none does.

    measured: control -> what `metrics.json` has of it.
    """
    found = []
    for name, control in measured.items():
        auroc = control["splits"][split]["metrics"]["auroc"]
        if auroc["high"] is not None and auroc["high"] < 0.5:
            found.append(f"{name} ({1 - auroc['value']:.3f})")
    return f"{split}: turned round, these controls have AUROC: {', '.join(found)}" if found else None


def turned(value: _Value, metric: str) -> _Value:
    """The metric of the same scores in the opposite order."""
    return 1 - value if metric == "auroc" else -value


def _value(measured: Measured, split: str, metric: str) -> float:
    value: float = measured.splits[split]["metrics"][metric]["value"]
    return value
