"""Does a model beat the controls? The difference to the best of them, paired by bootstrap repeat, and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from snw_dist.evaluate.bootstrap import interval
from snw_dist.evaluate.measure import DECISIVE, Measured

_NAMES = {"auroc": "AUROC", "spearman": "rank correlation"}


def compare(model: Measured, controls: Mapping[str, Measured], split: str, name: str = "the model") -> dict[str, Any]:
    """The model beside the control that is best in this very split, which favours the control.

    They are compared by AUROC, or where a split has one class by rank correlation. Returns `metric`, `best_control`,
    `model`, `control`, `difference` (value, low, high of the 95 % interval of model minus control, both on the same
    resampled pairs), `verdict` (`beats`, `is not told apart from`, `is worse than` or `cannot be compared with`) and
    `sentence`. The verdict is that of the interval; without repeats nothing is told apart.
    """
    for metric in DECISIVE:
        own = _value(model, split, metric)
        rivals = {key: _value(control, split, metric) for key, control in controls.items()}
        rivals = {key: value for key, value in rivals.items() if not math.isnan(value)}
        if not math.isnan(own) and rivals:
            break
    else:
        sentence = f"{split}: {name} cannot be compared with controls: there are none, or nothing is defined here."
        return {
            **dict.fromkeys(("metric", "best_control", "model", "control", "difference")),
            "verdict": "cannot be compared with",
            "sentence": sentence,
        }
    best = max(rivals, key=rivals.__getitem__)
    difference = own - rivals[best]
    low, high = interval(model.repeats[split][metric] - controls[best].repeats[split][metric])
    verdict = "beats" if low > 0 else "is worse than" if high < 0 else "is not told apart from"
    of_interval = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
    return {
        "metric": metric,
        "best_control": best,
        "model": own,
        "control": rivals[best],
        "difference": {"value": difference, "low": low, "high": high},
        "verdict": verdict,
        "sentence": f"{split}: {name} {verdict} the best control ({best}): {_NAMES[metric]} {own:.3f} against "
        f"{rivals[best]:.3f}, difference {difference:+.3f}{of_interval}.",
    }


def _value(measured: Measured, split: str, metric: str) -> float:
    value: float = measured.splits[split]["metrics"][metric]["value"]
    return value
