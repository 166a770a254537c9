"""At most so many points of a mark are drawn, and a note says so: a page of a million pairs opens at once.

Of a line the lowest and the highest point of each stretch stay, so that no peak is lost. Of single points some are
drawn by chance, always the same ones.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from snw_dist.arrays import IntArray
from snw_dist.report.marks import Lines, Mark, Panel, Points

MOST_OF_A_LINE = 1600
MOST_POINTS = 2500


def thinned(panel: Panel) -> tuple[Panel, str]:
    """The panel with fewer points, and the note that says so, or an empty one."""
    notes: list[str] = []
    marks = tuple(_thinned(mark, notes) for mark in panel.marks)
    return dataclasses.replace(panel, marks=marks), " ".join(notes)


def _thinned(mark: Mark, notes: list[str]) -> Mark:
    if isinstance(mark, Lines) and mark.x.size > MOST_OF_A_LINE:
        kept = extremes(mark, MOST_OF_A_LINE)
        notes.append(f"{mark.name}: of {mark.x.size:,} points the highest and lowest of each stretch are drawn.")
    elif isinstance(mark, Points) and mark.x.size > MOST_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(mark.x.size, MOST_POINTS, replace=False))
        notes.append(f"{mark.name}: {MOST_POINTS:,} of {mark.x.size:,} points are drawn, chosen by chance.")
    else:
        return mark
    taken: dict[str, Any] = {
        name: None if (array := getattr(mark, name)) is None else array[kept] for name in ("x", "y", "low", "high")
    }
    if isinstance(mark, Points) and mark.texts:
        taken["texts"] = tuple(mark.texts[i] for i in kept)
    return dataclasses.replace(mark, **taken)


def extremes(line: Lines, most: int) -> IntArray:
    """[kept] numbers of the points that stay, at most `most`: both ends, and the extremes of each stretch of it."""
    size, stretches = line.x.size, max(1, (most - 2) // 2)
    filled = np.nan_to_num(line.y, nan=0.0, posinf=0.0, neginf=0.0)
    edges = np.linspace(0, size, stretches + 1).astype(np.int64)
    kept = {0, size - 1}
    for start, end in itertools.pairwise(edges):
        part = filled[start:end]
        if part.size:
            kept |= {int(start + part.argmin()), int(start + part.argmax())}
    return np.array(sorted(kept), dtype=np.int64)
