"""Hits whose labels are known: how many of them do not bind, beside what was promised.

The promise of `--false-rate` is for all hits of a list, on average. Those whose labels are known are a part of them
that nobody has drawn by chance, so their rate may be another one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
from scipy.stats import binomtest

from snw_dist.report.screening.read import hits_in


class Realised(NamedTuple):
    """Hits of the pairs of one split."""

    split: str
    known: int
    """Hits whose label is known."""
    false: int
    """Of these, those that do not bind."""
    low: float
    """95 % interval of the share of false ones (Wilson 1927); likewise `high`."""
    high: float


def realised(folder: Path, known: pd.DataFrame) -> list[Realised]:
    """For each split of the known pairs that has hits; known: ligand and receptor (sequences), positive, split."""
    table = known[["ligand", "receptor", "positive", "split"]].drop_duplicates(["ligand", "receptor"])
    found = []
    for hits in hits_in(folder, ["ligand_sequence", "receptor_sequence"]):
        pairs = hits.rename(columns=lambda name: name.removesuffix("_sequence"))
        found.append(pairs.drop_duplicates().merge(table, on=["ligand", "receptor"]))
    every = pd.concat(found).drop_duplicates(["ligand", "receptor"]) if found else table.head(0)
    return [_of_split(str(split), own["positive"]) for split, own in every.groupby("split", sort=True)]


def _of_split(split: str, positive: pd.Series) -> Realised:
    false = int((~positive.astype(bool)).sum())
    span = binomtest(false, len(positive)).proportion_ci(method="wilson")
    return Realised(split, len(positive), false, float(span.low), float(span.high))
