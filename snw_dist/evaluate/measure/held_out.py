"""The pairs of a run as evaluation and controls see them: sequences, labels, and what was seen in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from snw_dist.data.prepared import Prepared
from snw_dist.data.trained import Rows, sequence_keys

STRATA = ("both seen", "one seen", "none seen")
"""How many of a pair's two sequences occur on the same side of a training pair (`data.symmetric`: on either)."""
TRAIN, VAL = "train", "val"


def pairs_of(prepared: Prepared, trained: Sequence[Rows] = ()) -> pd.DataFrame:
    """Every prepared pair, in its order, with the columns that are measured.

    ligand_id, receptor_id, split (str); ligand, receptor (str, the sequences); label (float64), positive (bool);
    stratum (str, one of `STRATA`, by sequence and not by id). Labels are those the network learns; where they come
    from scores by a transform saved with the data, figures in the units of the score are made from here backwards.
    `trained` are records of what was trained on beside the split train.
    """
    table = prepared.pairs[["ligand_id", "receptor_id", "label", "positive", "split"]].reset_index(drop=True)
    table["ligand"] = table["ligand_id"].map(prepared.ligands)
    table["receptor"] = table["receptor_id"].map(prepared.receptors)
    train = table["split"] == TRAIN
    sides = ("ligand", "receptor")
    known_on = {side: sides if prepared.symmetric else (side,) for side in sides}
    num_seen = sum(_seen(table, train, side, known_on[side], trained).to_numpy(dtype=np.int64) for side in sides)
    table["stratum"] = np.array(STRATA)[2 - num_seen]
    return table


def _seen(table: pd.DataFrame, train: pd.Series, side: str, among: Sequence[str], trained: Sequence[Rows]) -> pd.Series:
    """Whether the sequence on this side of a pair is on one of the sides `among` of a pair that was trained on."""
    distinct = table[side].unique()
    known = {sequence for name in among for sequence in table.loc[train, name]}
    for rows in trained:
        keys = sequence_keys(distinct)
        for name in among:
            known.update(distinct[np.isin(keys, rows[name][rows["val"] == 0])])
    return table[side].isin(known)
