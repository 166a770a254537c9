"""The embedding map of a run, as a section of its report."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from hpc.errors import SnwError
from snw_dist.arrays import FloatArray
from snw_dist.data.prepared import Prepared
from snw_dist.evaluate.measure.held_out import pairs_of
from snw_dist.evaluate.run import opened
from snw_dist.report.map.colours import Colouring, by_error, by_group, by_label, by_split
from snw_dist.report.map.groups import groups_of
from snw_dist.report.map.places import SPACES, Known, Placed, Space, known_of
from snw_dist.report.marks import GREY, Axis, Panel, Points
from snw_dist.report.page import Block, Figure, Says, Section
from snw_dist.report.run.files import RunFiles

_TITLES: dict[Space, str] = {"network": "The network's map", "encoder": "The encoder's map"}
_SAYS: dict[Space, str] = {
    "network": "Each point is the vector that the network makes of a sequence. The closer a ligand and a receptor are, "
    "in all dimensions, the higher is their score. A place in one panel is the same place in the other.",
    "encoder": "Each point is the mean of the stored rows of a sequence: what the encoder knows before any training "
    "on pairs. Ligands and receptors have axes of their own.",
}


def map_section(run: RunFiles) -> Section:
    """The maps of a run by split, label, group of receptors and error; or why there are none."""
    try:
        blocks = list(_blocks(run))
    except SnwError as error:  # the store may be gone by now; the rest of a report does not need it
        blocks = [Says(f"There is no map: {error}", "warning")]
    return Section("map", "Embedding map", blocks)


def _blocks(run: RunFiles) -> Iterator[Block]:
    settings, symmetric = run.settings, run.prepared.symmetric
    network = opened(settings, run.prepared)
    pairs = scored_pairs(network.data.prepared, run.predictions)
    known = known_of(pairs, symmetric, settings.run.seed)
    colourings = _colourings(pairs, known, symmetric)
    placed = {space: find(network, known, settings) for space, find in SPACES.items()}
    if not any(placed.values()):
        yield Says("There is no map: it takes three training sequences that differ.", "warning")
        return
    yield Says(_note(known))
    first = next(space for space in placed if placed[space])
    for space, sides in placed.items():
        for colouring in colourings:
            if sides and (space == first or colouring.name in ("split", "group")):
                yield _figure(space, sides, colouring)


def scored_pairs(prepared: Prepared, predictions: pd.DataFrame) -> pd.DataFrame:
    """The pairs of a run as `pairs_of` gives them, with score and probability; NaN where `evaluate` gave none."""
    keys = ["ligand_id", "receptor_id"]
    predicted = predictions[[*keys, "score", "probability"]].drop_duplicates(keys)
    return pairs_of(prepared).merge(predicted, on=keys, how="left", validate="many_to_one")


def _colourings(pairs: pd.DataFrame, known: list[Known], symmetric: bool) -> list[Colouring]:
    grouped = []
    if not symmetric:
        counts = pairs["receptor"].value_counts().sort_index(kind="stable").sort_values(ascending=False, kind="stable")
        ids = dict(zip(pairs["receptor"], pairs["receptor_id"], strict=True))
        grouped = [by_group(groups_of(counts.index.tolist()), ids)]
    splits = sorted({name for one in known for name in one.table["split"]})
    errors = [by_error()] if any(one.table["error"].notna().any() for one in known) else []
    return [by_split(splits), by_label(), *grouped, *errors]


def _note(known: list[Known]) -> str:
    drawn = [f"{len(one.table):,} of {one.total:,} {one.side}s" for one in known if len(one.table) < one.total]
    how = "by chance: of each split equally many, where it has them"
    some = f" Drawn are {' and '.join(drawn)}, {how}." if drawn else ""
    return (
        "**How to read a map.** Points that lie together are alike. The two axes are those along which the vectors of "
        "the training sequences differ most (PCA); all others are placed on the same axes. The title of an axis says "
        f"how much of the variance it shows. What lies together here may be apart in what the axes do not show.{some}"
    )


def _figure(space: Space, sides: list[Placed], colouring: Colouring) -> Figure:
    shared = _reach([one.at for one in sides]) if space == "network" else None
    panels = [_panel(one, shared or _reach([one.at]), colouring) for one in sides]
    name = f"map_{space}_{colouring.name}"
    return Figure(name, f"{_TITLES[space]}, {colouring.title}", f"{colouring.says} {_SAYS[space]}", panels)


def _reach(places: list[FloatArray]) -> list[tuple[float, float]]:
    """From where to where each axis goes, with some room."""
    both = np.concatenate(places)
    low, high = both.min(axis=0), both.max(axis=0)
    room = 0.05 * np.maximum(high - low, 1e-9)
    return list(zip((low - room).tolist(), (high + room).tolist(), strict=True))


def _panel(placed: Placed, reach: list[tuple[float, float]], colouring: Colouring) -> Panel:
    classes = colouring.classes(placed.known.table)
    ids = placed.known.table["id"].tolist()
    marks = []
    for number in sorted(range(len(classes.names)), key=lambda one: classes.colours[one] != GREY):  # grey lies below
        own, colour = np.flatnonzero(classes.of == number), classes.colours[number]
        if len(own):
            x, y = placed.at[own].T
            said = tuple(ids[at] for at in own)
            marks.append(Points(classes.names[number], x, y, colour=colour, texts=said, faint=colour == GREY))
    axes = [Axis(title, low=low, high=high) for title, (low, high) in zip(placed.axes.titles(), reach, strict=True)]
    return Panel(tuple(marks), axes[0], axes[1], f"{placed.known.side}s", square=True)
