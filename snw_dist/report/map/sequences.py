"""What is known of each sequence of a run: one row for each, and a sample that has of every split as many as it can."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from snw_dist.arrays import IntArray
from snw_dist.evaluate.measure.held_out import TRAIN, VAL
from snw_dist.evaluate.measure.measured import split_names

Side = Literal["ligand", "receptor"]


def sequences_of(pairs: pd.DataFrame, sides: Sequence[Side]) -> pd.DataFrame:
    """One row for each distinct sequence on these sides, in the order of the letters.

    pairs: ligand, receptor (the sequences), ligand_id, receptor_id, split, label, positive, and probability (NaN where
    a pair was not scored). Columns of what is returned: sequence; id, the first one; split, the first in the order
    train, val, test, others that has it; pairs; label, the mean over its pairs; error, the mean over those that are
    held out from training and validation of how far the probability is from 0 or 1 (NaN where there is none); partner,
    the sequence that it binds best, as far as a pair is positive (None where none is).
    """
    names = split_names(pairs["split"])
    rank = pairs["split"].map({name: place for place, name in enumerate(names)}).to_numpy(np.int64)
    error = (pairs["probability"] - pairs["positive"]).abs().where(~pairs["split"].isin((TRAIN, VAL)))
    known = pd.DataFrame({"rank": rank, "label": pairs["label"], "positive": pairs["positive"], "error": error})
    other: dict[Side, Side] = {"ligand": "receptor", "receptor": "ligand"}
    ends = [
        known.assign(sequence=pairs[side], id=pairs[f"{side}_id"], partner=pairs[other[side]]).reset_index(drop=True)
        for side in sides
    ]
    rows = pd.concat(ends, ignore_index=True)
    by = rows.groupby("sequence", sort=True)
    found = by.agg(id=("id", "first"), rank=("rank", "min"), pairs=("label", "size"), label=("label", "mean"))
    found["error"] = by["error"].mean()
    best = rows[rows["positive"]].sort_values("label", ascending=False, kind="stable").drop_duplicates("sequence")
    found["partner"] = best.set_index("sequence")["partner"].reindex(found.index).astype(object)
    found["split"] = np.array(names, dtype=object)[found.pop("rank")]
    return found.reset_index()


def sampled(split: pd.Series, most: int, seed: int) -> IntArray:
    """[n]: at most `most` rows, rising; of every split equally many, as far as it has them.

    The same rows for the same table and seed.
    """
    names, of = np.unique(split.to_numpy(dtype=str), return_inverse=True)
    quota = shares(np.bincount(of, minlength=len(names)).tolist(), most)
    mixed = np.random.default_rng(seed).permutation(len(of))
    chosen = [mixed[of[mixed] == number][: quota[number]] for number in range(len(names))]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def shares(counts: Sequence[int], most: int) -> list[int]:
    """How many of each are taken: equally many of all, and more of those that have more until `most` are taken."""
    taken, left = [0] * len(counts), most
    order = sorted(range(len(counts)), key=lambda place: counts[place])
    for done, place in enumerate(order):
        taken[place] = min(counts[place], left // (len(counts) - done))
        left -= taken[place]
    return taken
