"""Train, validation and held-out sets: checked when they come from a column, made when not.

| method | what is dealt to the splits | kept apart |
|---|---|---|
| `random` | distinct pairs of sequences | nothing but equal pairs |
| `ligand_cold` | clusters of ligands | ligands |
| `receptor_cold` | clusters of receptors | receptors |
| `both_cold` | both; pairs across splits are dropped | ligands and receptors |

The units are dealt in an order of SHA-256(seed, sequence), so neither the order of the rows nor that of the records
matters. Where both sides are one set (`data.symmetric`) `both_cold` deals its clusters once, for either side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.files.columns import MAKE_SPLIT
from snw_dist.data.records.repeats import numbered
from snw_dist.data.splits.assign import assign_parts, shuffled
from snw_dist.data.splits.both_cold import Side, cold_parts, cold_parts_of_one
from snw_dist.data.splits.clusters import Distinct, Units

_FINER = "more clusters (a higher data.split.ligand_identity, data.split.receptor_identity)"
NO_SPLIT, TRAIN, VAL, TEST, CALIBRATION = -1, 0, 1, 2, 3
MADE_NAMES = ["train", "val", "test", "calibration"]
APART = {
    "column": ("ligands", "receptors"),
    "random": (),
    "ligand_cold": ("ligands",),
    "receptor_cold": ("receptors",),
    "both_cold": ("ligands", "receptors"),
}
"""Sides that the splits of a method hold apart; of given splits the most is asked, because they do not tell."""


class Parts(NamedTuple):
    """How the whole is cut: the share of each part, and the split that it becomes."""

    shares: list[float]
    split: NDArray[np.int64]
    """[num_parts]"""

    @property
    def names(self) -> list[str]:
        """Of the splits that are made, by their numbers."""
        return MADE_NAMES[: int(self.split.max()) + 1]


def fractions(val: float, test: float, calibration: float = 0.0) -> Parts:
    """Three parts, for test, val and train; and one for calibration pairs, where it has a share."""
    if calibration:
        shares = [test, val, calibration, 1 - test - val - calibration]
        return Parts(shares, np.array([TEST, VAL, CALIBRATION, TRAIN]))
    return Parts([test, val, 1 - test - val], np.array([TEST, VAL, TRAIN]))


def fold_of(folds: int, fold: int) -> Parts:
    """`folds` equal parts: number `fold` is the test set, the next one the validation set."""
    split = np.full(folds, TRAIN)
    split[fold], split[(fold + 1) % folds] = TEST, VAL
    return Parts([1 / folds] * folds, split)


def split_pairs(
    method: str,
    ligands: Distinct,
    receptors: Distinct,
    ligand: NDArray[np.int64],
    receptor: NDArray[np.int64],
    parts: Parts,
    seed: int,
) -> NDArray[np.int64]:
    """The split of pairs whose ids are at `ligand[pair]` and `receptor[pair]`: `TRAIN`, `VAL`, `TEST`,
    `CALIBRATION`, and for `both_cold` alone `NO_SPLIT`.

    `ligand`, `receptor` and the result: [num_pairs]. Raises `InputError` where there are too few units for every part
    to have one, and where a split has no pairs.
    """
    if method == "both_cold":
        sides = [distinct.cluster_units(index) for distinct, index in ((ligands, ligand), (receptors, receptor))]
        if ligands is receptors:
            left, right = _two_ends(sides[0], sides[1], parts, seed)
            part_of_ligand = part_of_receptor = cold_parts_of_one(left, right, parts.shares)
        else:
            left, right = (_side(units, parts, seed) for units in sides)
            part_of_ligand, part_of_receptor = cold_parts(left, right, parts.shares)
        of_ligand, of_receptor = parts.split[part_of_ligand[left.unit]], parts.split[part_of_receptor[right.unit]]
        split = np.where(of_ligand == of_receptor, of_ligand, NO_SPLIT)
    else:
        if method == "ligand_cold":
            units = ligands.cluster_units(ligand)
        elif method == "receptor_cold":
            units = receptors.cluster_units(receptor)
        else:
            units = _pairs(ligands.units(ligand), receptors.units(receptor))
        unit, num = _side(units, parts, seed)
        split = parts.split[assign_parts(np.bincount(unit, minlength=num), parts.shares)[unit]]
    for number, name in enumerate(parts.names):
        if not (split == number).any():
            raise InputError(
                f"The {method} split leaves no pairs for {name!r}: the clusters are too few or too large. Use another "
                "data.split.seed, larger fractions (data.split.val_fraction, data.split.test_fraction) or fewer "
                f"data.split.folds, {_FINER}, or hold fewer sides apart (data.split.method)."
            )
    return split


def check_split_names(names: Sequence[str], where: str) -> None:
    """Raise `InputError` unless there are `train`, `val` and at least one other split with usable pairs."""
    missing = [name for name in ("train", "val") if name not in names]
    if not set(names) - {"train", "val"}:
        missing.append("a held-out split of another name, such as test")
    if missing:
        have = ", ".join(sorted(names)) or "none"
        raise InputError(
            f"{where}: no usable pairs in: {'; '.join(missing)} (splits there are: {have}). "
            f"Rename or add splits, or have one made: {MAKE_SPLIT}."
        )


def _pairs(ligand: Units, receptor: Units) -> Units:
    """Pairs of sequences as units."""
    unit = numbered(ligand.unit * len(receptor.names) + receptor.unit)
    first = np.unique(unit, return_index=True)[1]
    which = zip(ligand.unit[first].tolist(), receptor.unit[first].tolist(), strict=True)
    return Units(unit, [f"{ligand.names[a]}/{receptor.names[b]}" for a, b in which])


def _two_ends(one: Units, other: Units, parts: Parts, seed: int) -> tuple[Side, Side]:
    """The units of both ends of pairs of one set, numbered together."""
    both = _side(Units(np.concatenate([one.unit, other.unit]), one.names), parts, seed)
    left, right = np.split(both.unit, 2)
    return Side(left, both.num), Side(right, both.num)


def _side(units: Units, parts: Parts, seed: int) -> Side:
    """The units, numbered in random order; raises `InputError` where there are fewer of them than parts."""
    have = len(np.unique(units.unit))
    if have < len(parts.shares):
        raise InputError(
            f"The split needs at least {len(parts.shares)} clusters or sequences to deal, there are {have}. Add pairs, "
            f"take fewer data.split.folds where there are more than 3, {_FINER}, or give the splits in a column of the "
            "table (data.split.method = column)."
        )
    return Side(shuffled(units.names, seed)[units.unit], len(units.names))
