"""The pairs of a run as evaluation and controls see them: sequences, labels, and what was seen in training."""

from __future__ import annotations

import numpy as np
import pandas as pd

from snw_dist.data.prepared import Prepared

STRATA = ("both seen", "one seen", "none seen")
"""How many of a pair's two sequences occur on the same side of a training pair."""
TRAIN, VAL = "train", "val"


def pairs_of(prepared: Prepared) -> pd.DataFrame:
    """Every prepared pair, in its order, with the columns that are measured.

    ligand_id, receptor_id, split (str); ligand, receptor (str, the sequences); label (float64), positive (bool);
    stratum (str, one of `STRATA`, by sequence and not by id). Labels are those the network learns; where they come
    from scores by a transform saved with the data, figures in the units of the score are made from here backwards.
    """
    table = prepared.pairs[["ligand_id", "receptor_id", "label", "positive", "split"]].reset_index(drop=True)
    table["ligand"] = table["ligand_id"].map(prepared.ligands)
    table["receptor"] = table["receptor_id"].map(prepared.receptors)
    train = table["split"] == TRAIN
    num_seen = sum(
        table[side].isin(table.loc[train, side].unique()).to_numpy(dtype=np.int64) for side in ("ligand", "receptor")
    )
    table["stratum"] = np.array(STRATA)[2 - num_seen]
    return table
