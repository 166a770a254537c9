"""A network is never measured on pairs that it was trained on, nor on those by which its weights were chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.data.prepared import Prepared
from snw_dist.data.trained import (
    UNKNOWN,
    Rows,
    data_digest,
    keys_by_use,
    pair_keys,
    read_record,
    rows_of,
    what_changed,
)
from snw_dist.evaluate.pairs import TRAIN, VAL
from snw_dist.train.lineage import trained_on

_SHOWN = 3


@dataclass(frozen=True)
class Measurable:
    """The prepared data that a network may be measured on."""

    prepared: Prepared
    """Without held-out pairs that were trained on."""
    data_digest: str
    """Of the present data, see `snw_dist.data.trained`."""
    trained: list[Rows] = field(default_factory=list)
    """What the network was trained on where that is not the present `train`."""
    changes: dict[str, Any] = field(default_factory=dict)
    """What differs and was allowed, and how many pairs of each split are left out for it; empty where nothing does."""


def measurable(
    prepared: Prepared, description: Mapping[str, Any], run_folder: Path, allow_changes: bool = False
) -> Measurable:
    """Compare the data with those that the network of an export was trained on.

    Raises `InputError` when they differ, naming how, or when held-out pairs were trained on; with `allow_changes` these
    pairs are left out. Held-out splits may have others than at the time of training. Raises `CorruptError` when a
    record of the training pairs is missing or damaged.
    """
    rows, history = rows_of(prepared), trained_on(description["provenance"])
    digest = data_digest(rows)
    if history == [digest]:
        return Measurable(prepared, digest)
    known = [rows if past == digest else read_record(run_folder, past) for past in history if past != UNKNOWN]
    lost, counts = _spoilt(prepared, known)
    texts = [
        what_changed(run_folder, past, rows, prepared.summary["made_from"])
        for past in dict.fromkeys([history[-1], *(UNKNOWN for past in history if past == UNKNOWN)])
        if past != digest
    ]
    texts += [f"of split {split} {', '.join(_told(**count))}" for split, count in counts.items()]
    if not texts:  # continued with other data, but with none of the pairs that are measured
        return Measurable(prepared, digest, known)
    if not allow_changes:
        raise InputError(
            f"{run_folder / 'export'}: the network was not trained on the data as they are now ({'; '.join(texts)}"
            f"{_examples(prepared, lost)}). Prepare them as they were, or train under a new run.name; --allow-changes "
            "measures all the same, without the pairs that it was trained on or chosen by."
        )
    kept = np.flatnonzero(~lost)
    for split in counts:
        if not (prepared.pairs["split"].to_numpy(dtype=str)[kept] == split).any():
            raise InputError(
                f"{run_folder / 'export'}: the network was trained on or chosen by every pair of split {split}, so "
                "there is nothing to measure it on. Prepare the data as they were, or train under a new run.name."
            )
    changes = {"differences": texts, "left_out": counts}
    return Measurable(_taken(prepared, kept), digest, known, changes)


def _spoilt(prepared: Prepared, known: list[Rows]) -> tuple[NDArray[np.bool_], dict[str, dict[str, int]]]:
    """Which pairs may not be measured, and how many of each split for which reason."""
    split, keys = prepared.pairs["split"].to_numpy(dtype=str), pair_keys(prepared)
    none = np.zeros(len(keys), bool)
    if not known:
        return none, {}
    train, val = keys_by_use(known)
    learned = (split != TRAIN) & np.isin(keys, train)
    chosen = ~np.isin(split, [TRAIN, VAL]) & np.isin(keys, val) & ~learned
    counts = {
        str(name): {"pairs": int((split == name).sum()), "trained_on": int(of.sum()), "chosen_by": int(by.sum())}
        for name in np.unique(split)
        for of, by in [(learned & (split == name), chosen & (split == name))]
        if of.any() or by.any()
    }
    return learned | chosen, counts


def _told(pairs: int, trained_on: int, chosen_by: int) -> list[str]:
    texts = [f"{trained_on:,} of {pairs:,} pairs were trained on"] if trained_on else []
    return [*texts, *([f"by {chosen_by:,} of {pairs:,} pairs the weights were chosen"] if chosen_by else [])]


def _examples(prepared: Prepared, lost: NDArray[np.bool_]) -> str:
    if not lost.any():
        return ""
    first = prepared.pairs[lost].head(_SHOWN)
    names = [f"{ligand}/{receptor}" for ligand, receptor in zip(first["ligand_id"], first["receptor_id"], strict=True)]
    return f", such as {', '.join(names)}"


def _taken(prepared: Prepared, kept: NDArray[np.int64]) -> Prepared:
    scores = None if prepared.scores is None else prepared.scores.iloc[kept].reset_index(drop=True)
    return dataclasses.replace(prepared, pairs=prepared.pairs.iloc[kept].reset_index(drop=True), scores=scores)
