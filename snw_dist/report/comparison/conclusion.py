"""What may be concluded from a comparison: one sentence, from verdicts that are there already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from snw_dist.evaluate.measure.verdict import FEW
from snw_dist.report.run.words import listed

Tone = Literal["plain", "good", "bad", "warning"]
_OTHERS = {
    "is better than": ("is better", "are better"),
    "is not told apart from": ("is not told apart from it", "are not told apart from it"),
    "is worse than": ("is worse", "are worse"),
    FEW: ("was measured on too few pairs", "were measured on too few pairs"),
    "cannot be compared with": ("cannot be compared with it", "cannot be compared with it"),
}
_TONES: dict[str, Tone] = {"beats": "good", "is worse than": "bad"}


def conclusion(comparison: Mapping[str, Any]) -> tuple[str, Tone]:
    """The sentence, and whether it is good news: of the first split that is neither `train` nor `val`."""
    if not comparison["verdicts"]:
        return "Nothing may be concluded: there is no split but train and val.", "warning"
    split, verdicts = next(iter(comparison["verdicts"].items()))
    networks = comparison["networks"]
    name = networks["best"] if networks else next(iter(comparison["models"]))
    verdict = verdicts[name]
    if verdict["verdict"] == FEW:
        return f"Nothing may be concluded on {split}: {verdict['sentence'].partition(': ')[2]}", "warning"
    chosen = f"{name}, the best network on validation," if networks else name
    control = verdict.get("best_control")
    turned = ", turned round" if verdict.get("turned") else ""
    which = f"the best control ({control}{turned})" if control else "controls"
    parts = [f"On {split}, {chosen} {verdict['verdict']} {which}"]
    parts += _beside(networks["verdicts"][split]) if networks else []
    return f"{'; '.join(parts)}{_chance(comparison)}.", _TONES.get(verdict["verdict"], "warning")


def _beside(verdicts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    said = []
    for verdict, (one, several) in _OTHERS.items():
        names = [name for name, found in verdicts.items() if found["verdict"] == verdict]
        if names:
            said.append(f"{listed(names)} {one if len(names) == 1 else several}")
    return said


def runs_of_each(comparison: Mapping[str, Any]) -> int:
    """The most runs that a network has in a fold."""
    return max(-(-len(model["runs"]) // int(comparison["folds"])) for model in comparison["models"].values())


def _chance(comparison: Mapping[str, Any]) -> str:
    one = len(comparison["models"]) > 1 and runs_of_each(comparison) == 1
    return " (one run of each network: another seed may change their order)" if one else ""
