"""The embedding map of a run, as a section of its report."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from hpc.errors import SnwError
from snw_dist.arrays import FloatArray
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import Prepared
from snw_dist.evaluate.measure.held_out import pairs_of
from snw_dist.evaluate.run import Opened, opened
from snw_dist.report.map.colours import Colouring, by_error, by_group, by_label, by_split
from snw_dist.report.map.groups import groups_of
from snw_dist.report.map.neighbours import FEWEST
from snw_dist.report.map.places import (
    Known,
    Placed,
    by_axes,
    by_neighbours,
    encoder_vectors,
    known_of,
    network_vectors,
)
from snw_dist.report.marks import GREY, Axis, Panel, Points
from snw_dist.report.page import Block, Figure, Says, Section
from snw_dist.report.run.files import RunFiles

Space = Literal["network", "encoder"]
_TITLES: dict[Space, str] = {"network": "The network's map", "encoder": "The encoder's map"}
_SAYS: dict[Space, str] = {
    "network": "Each point is the vector that the network makes of a sequence. The closer a ligand and a receptor are, "
    "in all dimensions, the higher is their score. A place in one panel is the same place in the other.",
    "encoder": "Each point is the mean of the stored rows of a sequence: what the encoder knows before any training "
    "on pairs. Ligands and receptors have maps of their own.",
}
_OF_UMAP = (
    "**UMAP** keeps neighbours together, as far as two dimensions can. How far apart groups are, and how large they "
    "are, means nothing there. Training sequences make that map, too, and all others are placed on it."
)


class Map(NamedTuple):
    """Where both sides are drawn."""

    space: Space
    by_umap: bool
    sides: list[Placed]


def map_section(run: RunFiles, umap: bool = False) -> Section:
    """The maps of a run by split, label, group of receptors and error; or why there are none. With `umap` also by UMAP.

    Raises `ModuleNotFoundError` where that is not installed.
    """
    try:
        blocks = list(_blocks(run, umap))
    except SnwError as error:  # the store may be gone by now; the rest of a report does not need it
        blocks = [Says(f"There is no map: {error}", "warning")]
    return Section("map", "Embedding map", blocks)


def _blocks(run: RunFiles, umap: bool) -> Iterator[Block]:
    symmetric, network = run.prepared.symmetric, opened(run.settings, run.prepared)
    pairs = scored_pairs(network.data.prepared, run.predictions)
    known = known_of(pairs, symmetric, run.settings.run.seed)
    colourings = _colourings(pairs, known, symmetric)
    maps = list(_maps(network, known, run.settings, umap))
    if not maps:
        yield Says("There is no map: it takes three training sequences that differ.", "warning")
        return
    yield Says(_note(known))
    if umap:
        yield Says(_OF_UMAP if maps[-1].by_umap else f"There is no UMAP: it takes {FEWEST} training sequences.")
    for one in maps:
        for colouring in colourings:
            if one.space == maps[0].space or colouring.name in ("split", "group"):
                yield _figure(one, colouring)


def _maps(network: Opened, known: list[Known], settings: SnwConfig, umap: bool) -> Iterator[Map]:
    """By the axes of the network and of the encoder; by UMAP of the first of these alone: a page shall be small."""
    own = network_vectors(network, known, settings)
    spaces: dict[Space, list[FloatArray]] = {} if own is None else {"network": own}
    spaces["encoder"] = encoder_vectors(network, known)
    by_umap = partial(by_neighbours, seed=settings.run.seed)
    asked = [(space, False) for space in spaces] + [(next(iter(spaces)), True)] * umap
    for space, neighbours in asked:
        place = by_umap if neighbours else by_axes
        together = [(known, spaces[space])]
        if space == "encoder":  # ligands and receptors are too unlike each other for one map
            together = [([one], [vectors]) for one, vectors in zip(known, spaces[space], strict=True)]
        sides = [side for some, vectors in together for side in place(some, vectors)]
        if sides:
            yield Map(space, neighbours, sides)


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


def _figure(drawn: Map, colouring: Colouring) -> Figure:
    shared = _reach([one.at for one in drawn.sides]) if drawn.space == "network" else None
    panels = [_panel(one, shared or _reach([one.at]), colouring) for one in drawn.sides]
    kind, title = ("umap", ", UMAP") if drawn.by_umap else ("map", "")
    return Figure(
        f"{kind}_{drawn.space}_{colouring.name}",
        f"{_TITLES[drawn.space]}{title}, {colouring.title}",
        f"{colouring.says} {_SAYS[drawn.space]}",
        panels,
    )


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
    axes = [Axis(title, low=low, high=high) for title, (low, high) in zip(placed.titles, reach, strict=True)]
    return Panel(tuple(marks), axes[0], axes[1], f"{placed.known.side}s", square=True)
