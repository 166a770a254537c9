"""Which pairs the attention is shown of: the clearest right and wrong ones of a held-out split, by a rule."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from snw_dist.evaluate.measure.held_out import TRAIN, VAL
from snw_dist.evaluate.measure.measured import split_names


class Chosen(NamedTuple):
    """One pair."""

    name: str
    why: str
    ligand_id: str
    receptor_id: str
    split: str
    label: float
    score: float


_CASES = (
    ("found", "Binds, with the highest score", True, False),
    ("missed", "Binds, with the lowest score", True, True),
    ("false_alarm", "Does not bind, with the highest score", False, False),
    ("told_apart", "Does not bind, with the lowest score", False, True),
)
"""Name, what it is, whether the pair is positive, whether low scores come first."""


def chosen_pairs(predictions: pd.DataFrame) -> list[Chosen]:
    """At most four pairs of the first split that is neither `train` nor `val`; equal scores go by the ids.

    predictions: ligand_id, receptor_id, split, label, positive, score.
    """
    splits = [name for name in split_names(predictions["split"]) if name not in (TRAIN, VAL)]
    if not splits:
        return []
    held_out, found = predictions[predictions["split"] == splits[0]], []
    for name, why, positive, rising in _CASES:
        pairs = held_out[held_out["positive"] == positive]
        if len(pairs):
            first = pairs.sort_values(["score", "ligand_id", "receptor_id"], ascending=[rising, True, True]).iloc[0]
            ids = str(first["ligand_id"]), str(first["receptor_id"])
            found.append(Chosen(name, why, *ids, splits[0], float(first["label"]), float(first["score"])))
    return found
