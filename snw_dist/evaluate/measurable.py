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
from snw_dist.evaluate.measure.held_out import TRAIN, VAL
from snw_dist.trained_run.lineage import trained_on

_SHOWN = 3


@dataclass(frozen=True)
class Measurable:
    """The prepared data that a network may be measured on."""

    prepared: Prepared
    """Without held-out pairs that were trained on, and without test pairs by which weights were chosen."""
    data_digest: str
    """Of the present data, see `snw_dist.data.trained`."""
    trained: list[Rows] = field(default_factory=list)
    """What the network was trained on beside the present `train`."""
    differences: list[str] = field(default_factory=list)
    """In words, how the data differ from those that the network was trained on; empty where they do not."""
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    """How many pairs of which split are left out, and why."""

    def record(self) -> dict[str, Any]:
        """For the provenance of a result: what there is to say."""
        facts = {"differences": self.differences, "left_out": self.left_out}
        return {"data_digest": self.data_digest} | {key: value for key, value in facts.items() if value}


def measurable(
    prepared: Prepared, description: Mapping[str, Any], run_folder: Path, allow_changes: bool = False
) -> Measurable:
    """Compare the data with those that the network of an export was trained on; leave out what may not be measured.

    A held-out pair of the same two sequences as a training pair is always left out. Raises `InputError` when the data
    of train and val differ from those of the training, or when the network was trained on held-out pairs with other
    data before, naming how; with `allow_changes` these pairs are left out too. Held-out splits may have others than at
    the time of training. Raises `CorruptError` when a record of the training pairs is missing or damaged.
    """
    rows, history = rows_of(prepared), trained_on(description["provenance"])
    digest, where = data_digest(rows), run_folder / "export"
    others = [read_record(run_folder, past) for past in history if past not in (digest, UNKNOWN)]
    repeats, _ = _spoilt(prepared, [rows])
    lost, counts = _spoilt(prepared, [rows, *others])
    differences = [
        what_changed(run_folder, past, rows, prepared.summary["made_from"])
        for past in dict.fromkeys([history[-1], *(past for past in history if past == UNKNOWN)])
        if past != digest
    ]
    if (lost & ~repeats).any():
        differences += [f"of split {split} {_told(**count)}" for split, count in counts.items()]
    if differences and not allow_changes:
        raise InputError(
            f"{where}: the network was not trained on the data as they are now ({'; '.join(differences)}"
            f"{_examples(prepared, lost & ~repeats)}). Prepare them as they were, or train under a new run.name; "
            "--allow-changes measures all the same, without the pairs that it was trained on or chosen by."
        )
    for split, count in counts.items():
        if count["pairs"] == count["trained_on"] + count["chosen_by"]:
            raise InputError(
                f"{where}: the network was trained on or chosen by every pair of split {split}, so there is nothing to "
                "measure it on. Prepare the data as they were, or with another split."
            )
    return Measurable(_taken(prepared, ~lost), digest, others, differences, counts)


def without_repeats(prepared: Prepared) -> tuple[Prepared, dict[str, dict[str, int]]]:
    """What any network that was trained on these data may be measured on, and how much is left out for it."""
    lost, counts = _spoilt(prepared, [rows_of(prepared)])
    return _taken(prepared, ~lost), counts


def _spoilt(prepared: Prepared, known: list[Rows]) -> tuple[NDArray[np.bool_], dict[str, dict[str, int]]]:
    """Which pairs may not be measured, and how many of each split for which reason."""
    split, keys = prepared.pairs["split"].to_numpy(dtype=str), pair_keys(prepared)
    train, val = keys_by_use(known, prepared.symmetric)
    learned = (split != TRAIN) & np.isin(keys, train)
    chosen = ~np.isin(split, [TRAIN, VAL]) & np.isin(keys, val) & ~learned
    counts = {
        str(name): {"pairs": int((split == name).sum()), "trained_on": int(of.sum()), "chosen_by": int(by.sum())}
        for name in np.unique(split)
        for of, by in [(learned & (split == name), chosen & (split == name))]
        if of.any() or by.any()
    }
    return learned | chosen, counts


def _told(pairs: int, trained_on: int, chosen_by: int) -> str:
    texts = [f"{trained_on:,} of {pairs:,} pairs were trained on"] if trained_on else []
    return ", ".join([*texts, *([f"by {chosen_by:,} of {pairs:,} pairs the weights were chosen"] if chosen_by else [])])


def left_out_lines(left_out: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What is left out, a line for each split."""
    return [f"{split}: {_told(**count)}; these are left out" for split, count in left_out.items()]


def _examples(prepared: Prepared, lost: NDArray[np.bool_]) -> str:
    if not lost.any():
        return ""
    first = prepared.pairs[lost].head(_SHOWN)
    names = [f"{ligand}/{receptor}" for ligand, receptor in zip(first["ligand_id"], first["receptor_id"], strict=True)]
    return f", such as {', '.join(names)}"


def _taken(prepared: Prepared, kept: NDArray[np.bool_]) -> Prepared:
    if kept.all():
        return prepared
    scores = None if prepared.scores is None else prepared.scores[kept].reset_index(drop=True)
    return dataclasses.replace(prepared, pairs=prepared.pairs[kept].reset_index(drop=True), scores=scores)
