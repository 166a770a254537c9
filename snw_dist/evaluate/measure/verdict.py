"""Which of two sets of scores is better? The difference, paired by bootstrap repeat, and one sentence.

A model is compared with the best of the controls, and a network with the network that is best on validation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from snw_dist.arrays import FloatArray
from snw_dist.data.summary import too_few
from snw_dist.evaluate.measure.held_out import VAL
from snw_dist.evaluate.measure.measured import DECISIVE, Measured
from snw_dist.metrics.bootstrap import interval

_Value = TypeVar("_Value", float, FloatArray)
METRIC_NAMES = {"auroc": "AUROC", "spearman": "rank correlation"}
FEW = "has too few pairs to be compared with"


class Strongest(NamedTuple):
    """Of several sets of scores the one that ranks best, in whichever direction."""

    metric: str
    """Of `DECISIVE`."""
    name: str
    turned: bool
    """It ranks backwards: what counts is its opposite order."""
    value: float
    """In the direction that counts."""


def strongest(values: Mapping[str, float], metric: str) -> Strongest | None:
    """A set of scores that ranks backwards tells as much as one that ranks forwards: it counts as turned round.

    values: name -> the metric of its scores, NaN where it is not defined. None where none is.
    """
    found = [Strongest(metric, name, False, value) for name, value in values.items() if not math.isnan(value)]
    found += [Strongest(metric, one.name, True, turned(one.value, metric)) for one in found]
    return max(found, key=lambda one: one.value, default=None)


def compare(model: Measured, controls: Mapping[str, Measured], split: str, name: str = "the model") -> dict[str, Any]:
    """The model beside the control that is best in this very split, which favours the control; see `strongest`.

    They are compared by AUROC, or where a split has one class by rank correlation. Returns `metric`, `best_control`,
    `turned`, `model`, `control`, `difference` (value, low, high of the 95 % interval of model minus control, both on
    the same resampled pairs), `verdict` (`beats`, `is not told apart from`, `is worse than` or `cannot be compared
    with`) and `sentence`. The verdict is that of the interval; without repeats nothing is told apart.
    """
    for metric in DECISIVE:
        own = _value(model, split, metric)
        best = strongest({key: _value(control, split, metric) for key, control in controls.items()}, metric)
        if not math.isnan(own) and best is not None:
            break
    else:
        sentence = f"{split}: {name} cannot be compared with controls: there are none, or nothing is defined here."
        return {
            **dict.fromkeys(("metric", "best_control", "turned", "model", "control", "difference")),
            "verdict": "cannot be compared with",
            "sentence": sentence,
        }
    repeats = controls[best.name].repeats[split][metric]
    low, high = interval(model.repeats[split][metric] - (turned(repeats, metric) if best.turned else repeats))
    shown = f"{best.name}, turned round" if best.turned else best.name
    verdict, figures = _verdict(low, high, "beats"), _figures(metric, own, best.value, low, high)
    return {
        "metric": metric,
        "best_control": best.name,
        "turned": best.turned,
        "model": own,
        "control": best.value,
        "difference": {"value": own - best.value, "low": low, "high": high},
        "verdict": verdict,
        "sentence": f"{split}: {name} {verdict} the best control ({shown}): {figures}.",
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
    return _where_enough(compare(model, controls, split, name), split, facts, name)


def best_on_validation(networks: Mapping[str, Measured]) -> Strongest | None:
    """The network that ranks `val` best, which says nothing yet about other pairs; None where no figure is defined."""
    for metric in DECISIVE:
        values = {name: _value(network, VAL, metric) for name, network in networks.items()}
        found = [Strongest(metric, name, False, value) for name, value in values.items() if not math.isnan(value)]
        if found:
            return max(found, key=lambda one: one.value)
    return None


def judge_networks(
    networks: Mapping[str, Measured], best: Strongest, split: str, facts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each network beside the one that is best on validation: name -> as `judge`, with `best` in place of the control.

    The best is chosen by validation and never by the split itself: among several that are equal, the highest figure of
    a split is too high, and the difference to it too large. The verdicts are `is better than`, `is worse than` and `is
    not told apart from`; a metric or difference that is not defined is None.
    """
    return {
        name: _where_enough(_beside(network, networks[best.name], split, name, best), split, facts, name)
        for name, network in networks.items()
        if name != best.name
    }


def _beside(network: Measured, rival: Measured, split: str, name: str, best: Strongest) -> dict[str, Any]:
    chosen = f"{best.name}, the best network on {VAL}"
    for metric in DECISIVE:
        own, other = _value(network, split, metric), _value(rival, split, metric)
        if not math.isnan(own - other):
            break
    else:
        sentence = f"{split}: {name} cannot be compared with {chosen}: nothing is defined here."
        nothing = dict.fromkeys(("metric", "network", "best_network", "difference"))
        return nothing | {"best": best.name, "verdict": "cannot be compared with", "sentence": sentence}
    low, high = interval(network.repeats[split][metric] - rival.repeats[split][metric])
    verdict = _verdict(low, high, "is better than")
    chance = ". The difference cannot be told from chance" if low <= 0 <= high or math.isnan(low) else ""
    return {
        "metric": metric,
        "best": best.name,
        "network": own,
        "best_network": other,
        "difference": {"value": own - other, "low": low, "high": high},
        "verdict": verdict,
        "sentence": f"{split}: {name} {verdict} {chosen}: {_figures(metric, own, other, low, high)}{chance}.",
    }


def _verdict(low: float, high: float, better: str) -> str:
    return better if low > 0 else "is worse than" if high < 0 else "is not told apart from"


def _figures(metric: str, own: float, other: float, low: float, high: float) -> str:
    of_interval = "" if math.isnan(low) else f" [{low:+.3f}, {high:+.3f}]"
    return f"{METRIC_NAMES[metric]} {own:.3f} against {other:.3f}, difference {own - other:+.3f}{of_interval}"


def _where_enough(found: dict[str, Any], split: str, facts: Mapping[str, Any], name: str) -> dict[str, Any]:
    why = too_few(facts["num_pairs"], facts["num_positive"])
    if why is None or found["metric"] is None:
        return found
    return found | {"verdict": FEW, "sentence": f"{split}: no verdict on {name}: {why}."}


def turned_round(measured: Mapping[str, Mapping[str, Any]], split: str) -> str | None:
    """A line about the controls that surely rank a split backwards, by their interval; None where none does.

    measured: control -> what `metrics.json` has of it.
    """
    found = []
    for name, control in measured.items():
        auroc = control["splits"][split]["metrics"]["auroc"]
        if auroc["high"] is not None and auroc["high"] < 0.5:
            found.append(f"{name} ({1 - auroc['value']:.3f} if turned round)")
    return f"{split}: these controls rank backwards, non-binders first; AUROC: {', '.join(found)}" if found else None


def turned(value: _Value, metric: str) -> _Value:
    """The metric of the same scores in the opposite order."""
    return 1 - value if metric == "auroc" else -value


def _value(measured: Measured, split: str, metric: str) -> float:
    value: float = measured.splits[split]["metrics"][metric]["value"]
    return value
