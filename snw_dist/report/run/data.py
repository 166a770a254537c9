"""What the network was given: what became of the records, the splits, labels and lengths, and what the audit found."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from snw_dist.report.marks import Axis, Bars, Panel
from snw_dist.report.page import Block, Figure, Says, Section
from snw_dist.report.run.files import RunFiles

_BINS = 30


def data_section(run: RunFiles) -> Section:
    """The section about the data."""
    return Section("data", "Data", list(_blocks(run)))


def _blocks(run: RunFiles) -> Iterator[Block]:
    if not run.data_is_measured:
        yield Says(
            "The data were prepared again since this evaluation. This section shows them as they are now, and the "
            "figures of quality are those of the data before.",
            "warning",
        )
    yield _splits(run)


def _splits(run: RunFiles) -> Figure:
    splits = run.prepared.summary["splits"]
    names = tuple(splits)
    at = np.arange(len(names), dtype=np.float64)
    positive = np.array([splits[name]["positives"] for name in names], dtype=np.float64)
    negative = np.array([splits[name]["pairs"] for name in names], dtype=np.float64) - positive
    width = np.full(at.size, 0.62)
    bars = (
        Bars("positive: binds", at, positive, width, lying=True, colour=1),
        Bars("negative: does not bind", at, negative, width, base=positive, lying=True, colour=0),
    )
    return Figure(
        "data_splits",
        "Pairs of each split",
        "A **split** is a part of the pairs. The network learns from train; val chooses its weights and its threshold; "
        "the others are only for measuring.",
        [Panel(bars, Axis("pairs", low=0), Axis(names=names), height=60 + 42 * len(names))],
    )
