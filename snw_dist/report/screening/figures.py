"""Figures of a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from snw_dist.arrays import FloatArray
from snw_dist.report.marks import Axis, Bars, Grid, Mark, Panel, Points, Rules
from snw_dist.report.page import Figure
from snw_dist.report.screening.heat import Heat
from snw_dist.report.screening.known import Realised
from snw_dist.report.screening.summed import EDGES, Summed
from snw_dist.scoring.abstain import LIGAND, RECEPTOR
from snw_dist.screen.library import Kind, other

_SHORT = {LIGAND: "ligand is new", RECEPTOR: "receptor is new"}
"""A name on an axis has room for some 20 letters."""
_PROMISCUOUS: dict[Kind, str] = {
    "receptor": "A ligand that many receptors have among their hits may bind them all, or it may only score high with "
    "everything. Like receptors share ligands for good reasons.",
    "ligand": "A receptor that scores high with everything is in the lists of many ligands. Scores of different "
    "receptors cannot be compared; percentiles can.",
}
_ROW = 22
"""Pixels of a row with a name."""


def heat_figure(heat: Heat, found: Summed) -> Figure:
    """Receptors by ligands; what is not shown is said."""
    some = len(heat.receptors) < len(found.receptors)
    which = (
        f"the {len(heat.receptors):,} of {len(found.receptors):,} receptors with the best first hit"
        if some
        else "every receptor with hits"
    )
    says = (
        f"The score of each hit; an empty cell is no hit. Shown are {which}, and {len(heat.ligands):,} ligands: the "
        "best one of each receptor, then the second best, and so on. What has hits in common stands together. A "
        "column that is filled is a ligand that scores high with everything. The files of the screen have the rest."
    )
    grid = Grid("score", heat.scores)
    axes = Axis("ligand", names=heat.ligands), Axis(names=heat.receptors)
    panel = Panel((grid,), *axes, height=150 + 16 * len(heat.receptors), wide=True)
    return Figure("hits_heat_map", "Receptors and their hits", says, [panel])


def frequent_figure(found: Summed) -> Figure:
    """What is in most lists, as far as it is in several."""
    table = found.frequent[found.frequent["lists"] > 1].head(20)
    side, counts = other(found.by), table["lists"].to_numpy(np.float64)
    said = tuple(f"{name}: {count:,.0f} {found.by}s" for name, count in zip(table["id"], counts.tolist(), strict=True))
    axes = Axis(f"{found.by}s with it among their hits", low=0.0), Axis(names=tuple(table["id"]))
    panel = Panel((_lying(f"{found.by}s", counts, said),), *axes, height=90 + _ROW * len(table))
    return Figure(f"promiscuous_{side}s", f"Promiscuous {side}s", _PROMISCUOUS[found.by], [panel])


def distance_figure(found: Summed) -> Figure:
    """How like the sequences of the hits are to those of training."""
    middles, panels = (EDGES[:-1] + EDGES[1:]) / 2, []
    for side, counts in found.identities.items():
        texts = tuple(
            f"{low:.2f} to {high:.2f}: {count:,} hits"
            for low, high, count in zip(EDGES[:-1], EDGES[1:], counts.tolist(), strict=True)
        )
        width = np.diff(EDGES) * 0.92
        bars = Bars("hits", middles, counts.astype(np.float64), width, texts=texts)
        axes = Axis(f"identity of the closest training {side}", low=0.0, high=1.0), Axis("hits", low=0.0)
        panels.append(Panel((bars,), *axes, f"{side}s"))
    says = (
        "Identity: 1 - changed residues / length of the longer sequence; 1 is a sequence of the training itself. The "
        "farther to the left, the less the training says of a hit."
    )
    return Figure("distance_to_training", "Distance to the training data", says, panels)


def abstained_figure(found: Summed) -> Figure | None:
    """Why not to trust hits, and how many; None where nothing speaks against any."""
    if not found.reasons:
        return None
    names, counts = zip(*found.reasons.most_common(), strict=True)
    short = tuple(_SHORT.get(name, name) for name in names)
    said = tuple(f"{name}: {count:,} hits" for name, count in zip(names, counts, strict=True))
    axes = Axis("hits", low=0.0), Axis(names=short)
    panel = Panel((_lying("hits", np.array(counts, np.float64), said),), *axes, height=110 + 2 * _ROW * len(names))
    says = (
        f"{found.num_abstained:,} of {found.rows:,} hits have something against them: they are unlike the pairs of "
        "validation, for which alone the probabilities hold. A hit with several reasons counts for each."
    )
    return Figure("abstained", "What the scores should not be trusted for", says, [panel])


def rate_figure(said: dict[str, Any], known: Sequence[Realised]) -> Figure:
    """The promised rate of false hits, what it was found to be by the calibration pairs, and by known labels."""
    lists = [one for one in said["lists"] if one["hits"]]
    names = [*(list_name(one) for one in lists), *(f"known: {one.split}" for one in known)]
    estimates = Points(
        "estimate by the calibration pairs",
        np.array([one["estimate"] for one in lists], np.float64),
        np.arange(len(lists), dtype=np.float64),
        texts=tuple(f"{list_name(one)}: {one['hits']:,} hits, estimate {one['estimate']:.3f}" for one in lists),
    )
    ends = np.array([[one.false / one.known, one.low, one.high] for one in known], np.float64).reshape(-1, 3)
    shares, low, high = ends.T
    places = np.arange(len(lists), len(names), dtype=np.float64)
    texts = tuple(f"{one.split}: {one.false:,} of {one.known:,} known hits do not bind" for one in known)
    by_labels = Points("found by known labels", shares, places, low, high, "x", 1, texts)
    marks: list[Mark] = [Rules("promised at most, on average", (float(said["rate"]),)), *([estimates] if lists else [])]
    axes = Axis("share of false hits", low=0.0), Axis(names=tuple(names))
    panel = Panel((*marks, *([by_labels] if known else [])), *axes, height=110 + 2 * _ROW * max(1, len(names)))
    says = (
        "The promise is a mean over many screens, for all hits of a list; a single screen may have more. Hits with a "
        "known label are a part that nobody has drawn by chance, so their rate may be another one. The bar is the "
        "95 % interval of a share of so many."
    )
    return Figure("false_hits", "False hits: promised and found", says, [panel])


def list_name(one: dict[str, Any]) -> str:
    """A list of receptors that share a promise; one of its own has the name of its receptor."""
    names: list[str] = one["receptors"]
    return names[0] if len(names) == 1 else str(one["name"])


def _lying(name: str, length: FloatArray, texts: tuple[str, ...]) -> Bars:
    at = np.arange(len(length), dtype=np.float64)
    return Bars(name, at, length, np.full(len(length), 0.7), lying=True, texts=texts)
