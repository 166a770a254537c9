"""What callers of `PairScorer` give: brought into one form, or refused with one line that says what to give."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import pandas as pd

from hpc.errors import InputError
from snw_dist.scoring.sequences import Texts, listed


def broadcast(ligands: Texts, receptors: Texts) -> tuple[list[str], list[str]]:
    """Two lists of equal length; a single sequence stands for itself in every pair.

    Raises `InputError` for other numbers of sequences.
    """
    left, right = listed(ligands, "ligand"), listed(receptors, "receptor")
    if len(left) == len(right):
        return left, right
    if len(left) == 1:
        return left * len(right), right
    if len(right) == 1:
        return left, right * len(left)
    raise InputError(f"{len(left):,} ligands and {len(right):,} receptors: give equally many, or one of either.")


def check_table(frame: Any, names: Sequence[str]) -> None:
    """Raise `InputError` where this is no table of pandas, or has not each of the columns once."""
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"give a table of pandas, such as pandas.read_csv makes one, not {type(frame).__name__}.")
    for name in names:
        if name not in frame.columns:
            raise InputError(f"no column {name!r}: there are {', '.join(map(str, frame.columns))}.")
        if list(frame.columns).count(name) > 1:
            raise InputError(f"the column {name!r} is there twice. Keep one of them.")


def check_whole(name: str, value: Any, example: str) -> None:
    """Raise `InputError` where this is no whole number from 1 on; `example`: how one may be written."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise InputError(f"{name}: give a whole number from 1 on, such as {example}, not {value!r:.40}.")
