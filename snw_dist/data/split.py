"""Train, validation and held-out sets: checked when they come from a column, made at random when not."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError

TRAIN, VAL, TEST = 0, 1, 2
MADE_NAMES = ["train", "val", "test"]


def random_split(
    ligand_group: NDArray[np.int64],
    group_names: Sequence[str],
    seed: int,
    val_fraction: float,
    test_fraction: float,
) -> NDArray[np.int64]:
    """Split pairs `[pair]` into 0 train, 1 val, 2 test so that no ligand sequence is in two of them.

    `ligand_group[pair]` is the position in `group_names` of the pair's ligand sequence; all its pairs go
    together. Sequences are taken in the order of SHA-256(seed, sequence), so neither the order of the rows
    nor that of the records matters; each goes to test or val while that brings the split closer to its share
    of pairs, else to train. Receptors may be shared. Raises `InputError` when there are fewer than 3 groups.
    """
    size = np.bincount(ligand_group, minlength=len(group_names))
    order = sorted(np.flatnonzero(size).tolist(), key=lambda g: _shuffle_key(seed, group_names[g]))
    if len(order) < len(MADE_NAMES):
        raise InputError(
            f"A random split needs pairs of at least 3 distinct ligand sequences, there are {len(order)}. "
            "Add pairs, or name a split column in data.columns.split."
        )
    share = {TEST: test_fraction * len(ligand_group), VAL: val_fraction * len(ligand_group)}
    filled = {TEST: 0, VAL: 0}
    chosen = np.full(len(group_names), TRAIN, np.int64)
    for group in order:
        for split in share:
            if filled[split] + size[group] / 2 <= share[split]:
                filled[split] += int(size[group])
                chosen[group] = split
                break
    for split in (TRAIN, VAL, TEST):  # groups can be large against a share: no split may stay empty
        if not any(chosen[g] == split for g in order):
            num_groups = np.bincount(chosen[order], minlength=len(MADE_NAMES))
            donors = [g for g in order if chosen[g] == num_groups.argmax()]
            chosen[min(donors, key=lambda g: size[g])] = split
    return chosen[ligand_group]


def check_split_names(names: Sequence[str], where: str) -> None:
    """Raise `InputError` unless there are `train`, `val` and at least one other split with usable pairs."""
    missing = [name for name in ("train", "val") if name not in names]
    if not set(names) - {"train", "val"}:
        missing.append("a held-out split of another name, such as test")
    if missing:
        have = ", ".join(sorted(names)) or "none"
        raise InputError(
            f"{where}: no usable pairs in: {'; '.join(missing)} (splits there are: {have}). "
            "Rename or add splits, or set data.columns.split to null for a random split."
        )


def _shuffle_key(seed: int, sequence: str) -> bytes:
    return hashlib.sha256(f"{seed}:{sequence}".encode()).digest()
