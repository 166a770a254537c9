"""Prepared pairs by the numbers of their sequences in a store."""

from __future__ import annotations

import numpy as np

from snw_dist.data.prepared import Prepared
from snw_dist.embedding.store.part_plan import refuse_missing
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.predict.batches import IndexedPairs


def indexed_pairs(prepared: Prepared, store: StoreReader, split: str | None = None) -> IndexedPairs:
    """Pairs of `split` (or all), in the order of the prepared table; raises `InputError` for a sequence not stored."""
    frame = prepared.pairs if split is None else prepared.pairs[prepared.pairs["split"] == split]
    ligands = {name: prepared.ligands[name] for name in frame["ligand_id"].unique()}
    receptors = {name: prepared.receptors[name] for name in frame["receptor_id"].unique()}
    if not all(sequence in store for side in (ligands, receptors) for sequence in side.values()):
        refuse_missing(store.path, (("ligand", ligands), ("receptor", receptors)))
    ligand_at, receptor_at = ({name: store.index(one) for name, one in side.items()} for side in (ligands, receptors))
    return IndexedPairs(
        frame["ligand_id"].map(ligand_at).to_numpy(dtype=np.int64),
        frame["receptor_id"].map(receptor_at).to_numpy(dtype=np.int64),
        frame["label"].to_numpy(dtype=np.float32),
        frame["positive"].to_numpy(dtype=bool),
        frame["weight"].to_numpy(dtype=np.float64),
    )
