"""The sentence at the top of a report: does the network beat its controls? And what must be known before any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from snw_dist.evaluate.measure.verdict import FEW, METRIC_NAMES
from snw_dist.report.page import Fact, Facts
from snw_dist.report.run.words import METRIC_WORDS, listed, metric_of, tested_splits, three, within

Tone = Literal["plain", "good", "bad", "warning"]
_BEATS, _EQUAL, _WORSE, _NONE = "beats", "is not told apart from", "is worse than", "cannot be compared with"
_WORDS = {
    _BEATS: "beats the best simple control",
    _EQUAL: "is neither clearly better nor clearly worse than the best simple control",
    _WORSE: "is worse than the best simple control",
    FEW: "has too few pairs to be judged",
    _NONE: "has no control to be compared with",
}
_SIDES = ("ligands", "receptors")
RANDOM = "RANDOM weights"
"""What an encoder of random weights says of itself."""


def answer(metrics: Mapping[str, Any]) -> tuple[str, Tone]:
    """One sentence over all held-out splits, and how good the news is. The verdicts are those of `metrics.json`."""
    clauses, seen = [], set[str]()
    for verdict, words in _WORDS.items():
        found = {name: one for name, one in metrics["comparison"].items() if one["verdict"] == verdict}
        if found:
            seen.add(verdict)
            clauses.append(f"{words} {_figures(found)}")
    if not clauses:
        return "This run has no held-out split but val, so nothing can be said about new pairs.", "warning"
    return f"The network {'; it '.join(clauses)}.", _tone(seen)


def _figures(found: Mapping[str, Any]) -> str:
    shown = []
    for name, one in found.items():
        metric = METRIC_NAMES.get(one["metric"], "")
        compared = one["control"] is not None and one["verdict"] != FEW
        shown.append(
            f"on {name} ({metric} {one['model']:.3f} against {one['control']:.3f})" if compared else f"on {name}"
        )
    return listed(shown)


def _tone(seen: set[str]) -> Tone:
    if seen == {_BEATS}:
        return "good"
    return "bad" if _WORSE in seen and _BEATS not in seen else "warning" if seen & {_EQUAL, _WORSE} else "plain"


def warnings(metrics: Mapping[str, Any]) -> list[str]:
    """What spoils every number, or may."""
    provenance = metrics["provenance"]
    found = []
    if RANDOM in str(provenance["encoder"]):
        found.append(
            "**Demonstration.** The encoder of this run has random weights. The figures show that the machinery "
            "works. They say nothing of what ESM C can do."
        )
    found += [f"**Not the data that the network was trained on.** {text}" for text in provenance.get("differences", [])]
    return found


def advice(metrics: Mapping[str, Any]) -> str:
    """What to do after this answer."""
    verdicts = {one["verdict"] for one in metrics["comparison"].values()}
    if RANDOM in str(metrics["provenance"]["encoder"]):
        return "**What now?** Embed with real weights of ESM C: only then do the figures say something of your data."
    if verdicts & {_EQUAL, _WORSE}:
        return (
            "**What now?** Where a simple control does as well, trust the network no more than the control. More pairs "
            "or more receptors may help, or another network: **snw-dist compare** tries several."
        )
    if FEW in verdicts or not verdicts:
        return "**What now?** Hold out more pairs: at least 10 that bind and 10 that do not, better hundreds."
    return "**What now?** Look at the receptors and the worst errors below before you rely on it."


def asked_of(splits: Sequence[str], summary: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What each held-out split asks of the network, as a sentence: how many of its sequences are new to it.

    summary: split -> counts as in `summary.json` of the data.
    """
    return [
        f"**{name}** has {' and '.join(_new(summary[name], side) for side in _SIDES)}."
        for name in splits
        if name in summary
    ]


def _new(counts: Mapping[str, int], side: str) -> str:
    count, new = counts[side], counts[side] - counts[f"{side}_in_train"]
    known = "all of them new" if new == count else f"{new:,} of them new" if new else "none of them new"
    return f"{count:,} {side} ({known})"


def first_facts(metrics: Mapping[str, Any]) -> Facts:
    """The figure of each held-out split, with its interval and what it rests on."""
    facts = []
    for name in tested_splits(metrics)[:6]:
        metric, held = metric_of(metrics, name), metrics["splits"][name]
        figure = metrics["model"]["splits"][name]["metrics"][metric]
        rests = f"{held['num_pairs']:,} pairs, {held['num_positive']:,} positive, {held['num_receptors']:,} receptors"
        between = within(figure)
        says = f"95 % interval {between}; {rests}" if between else rests
        facts.append(Fact(f"{METRIC_WORDS[metric]} on {name}", three(figure["value"]), says))
    return Facts(facts)
