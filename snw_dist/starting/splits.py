"""Which split is proposed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from snw_dist.data.files.rejects import shorten, shown_names
from snw_dist.data.splits.clusters import PROGRAM
from snw_dist.starting.columns import MOST_VALUES, Column
from snw_dist.starting.guess import Guess
from snw_dist.starting.sides import Used

_FEWEST = 20
"""Different sequences of a side of which a cold split can be made at all well."""

_SMALL = 1_000
"""Fewer pairs than this are divided otherwise than by the defaults: more of them are held out."""


def split_guesses(columns: Sequence[Column], used: Used, symmetric: bool) -> list[Guess]:
    """A column of the table where one has the splits, else one that is made and tells about new sequences."""
    notes = ""
    for column in columns:
        names = {text.lower() for text in column.values}
        if not column.few or not {"train", "training"} & names or len(names) < 2:
            continue
        values = f"column {shorten(column.name)!r} has {shown_names(list(column.values)[:MOST_VALUES])}"
        if {"train", "val"} <= set(column.values) and len(column.values) > 2:
            return [
                Guess("data.split.method", "column", f"{values}. They are used as they are"),
                Guess("data.columns.split", column.name, values),
            ]
        notes = f". Not used: {values}, and it would have to have train, val and at least one more, such as test"
    method, why = _method(used, symmetric)
    guesses = [Guess("data.split.method", method, why + notes)]
    if used.pairs < _SMALL:
        share = f"Of {used.pairs:,} pairs a tenth would be too few to measure anything by"
        guesses += [Guess(f"data.split.{part}_fraction", 0.2, share) for part in ("val", "test")]
    if method != "random" and shutil.which(PROGRAM) is None:
        why = "MMseqs2 is not here, so only identical sequences are held together. Better install it, and take mmseqs2"
        guesses.append(Guess("data.split.clusters", "identical", why))
    return guesses


def _method(used: Used, symmetric: bool) -> tuple[str, str]:
    ligands, receptors = used.sequences
    told = f"{ligands:,} ligands and {receptors:,} receptors are in pairs"
    if symmetric:
        return (
            "both_cold",
            "No protein, and none similar to it, is in two splits. A metric on test is about new proteins",
        )
    if ligands >= _FEWEST:
        new = "No ligand, and none similar to it, is in two splits. A metric on test is about new ligands"
        return "ligand_cold", f"{new} with known receptors ({told})"
    if receptors >= _FEWEST:
        new = "No receptor, and none similar to it, is in two splits. A metric on test is about new receptors"
        return "receptor_cold", f"{new} with known ligands ({told})"
    return "random", f"{told}, too few to hold some apart. A metric on test is about new pairs of known sequences only"
