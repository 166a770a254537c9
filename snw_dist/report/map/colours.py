"""What the points of a map are coloured by: for each sequence a class, and which colour each class has."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.evaluate.measure.measured import split_names
from snw_dist.report.map.groups import Groups
from snw_dist.report.marks import GREY

_COLD_TO_HOT = (5, 0, 4, 1)
"""Colours of the palette for what is more or less."""
_OF_SPLITS = (5, 4, 0, 1, 2, 3, 6)
"""Those of training and validation, of which there are most points, are the light ones."""


@dataclasses.dataclass(frozen=True)
class Classes:
    """Classes of sequences."""

    names: tuple[str, ...]
    colours: tuple[int, ...]
    of: IntArray
    """[sequences]: the class of each."""


@dataclasses.dataclass(frozen=True)
class Colouring:
    """One way to colour a map."""

    name: str
    title: str
    says: str
    classes: Callable[[pd.DataFrame], Classes]
    """Of the sequences of one side."""


def by_split(names: Sequence[str]) -> Colouring:
    """By the split that a sequence is first in; names: of all splits."""
    order = split_names(names)

    def classes(table: pd.DataFrame) -> Classes:
        of = table["split"].map({name: place for place, name in enumerate(order)}).to_numpy()
        colours = tuple(_OF_SPLITS[place % len(_OF_SPLITS)] for place in range(len(order)))
        return Classes(tuple(order), colours, of.astype(np.int64))

    says = (
        "Are new sequences where training sequences are? A held-out point far from all training points is one that the "
        f"network has to reach far for. A sequence of several splits has the colour of the first: {', '.join(order)}."
    )
    return Colouring("split", "by split", says, classes)


def by_label() -> Colouring:
    """By the mean label of the pairs of a sequence."""
    says = "The mean label of the pairs of a sequence, 0 is weak and 1 is strong."
    return Colouring("label", "by label", says, lambda table: _bands(table["label"], (0.25, 0.5, 0.75), "no pair"))


def by_error() -> Colouring:
    """By how wrong the network is with the held-out pairs of a sequence."""
    says = (
        "How wrong the network is: the distance of its probability from what was found (0 or 1), mean over the pairs "
        "of a sequence that are held out from training and validation. Errors that lie together may have one cause."
    )
    return Colouring("error", "by error", says, lambda table: _bands(table["error"], (0.1, 0.3, 0.5), "not held out"))


def by_group(groups: Groups, ids: Mapping[str, str]) -> Colouring:
    """By the group of a receptor, and for a ligand of the one that it binds best; ids: sequence -> id."""
    names = tuple(f"like {ids[middle]} ({size:,})" for middle, size in zip(groups.middles, groups.sizes(), strict=True))
    none = len(names)

    def classes(table: pd.DataFrame) -> Classes:
        own = [groups.of.get(sequence) for sequence in table["sequence"]]
        partner = [groups.of.get(sequence) for sequence in table["partner"]]
        is_receptor = any(one is not None for one in own)
        of = [none if one is None else one for one in (own if is_receptor else partner)]
        return Classes((*names, "binds none here"), (*range(len(names)), GREY), np.array(of, np.int64))

    says = (
        f"Receptors in {len(names)} groups of like sequence, each named by the one in its middle; a ligand has the "
        "colour of the receptor that it binds best. The groups come from the sequences alone (average linkage of the "
        "share of changed residues): they are relative to this set, and no families of a nomenclature."
    )
    return Colouring("group", "by group of receptors", says, classes)


def _bands(values: pd.Series, ends: tuple[float, float, float], missing: str) -> Classes:
    found: FloatArray = values.to_numpy(np.float64)
    of = np.where(np.isnan(found), len(ends) + 1, np.searchsorted(ends, found, side="right"))
    between = [f"{low:g} to {high:g}" for low, high in itertools.pairwise(ends)]
    names = (f"below {ends[0]:g}", *between, f"{ends[-1]:g} or more", missing)
    return Classes(names, (*_COLD_TO_HOT, GREY), of.astype(np.int64))
