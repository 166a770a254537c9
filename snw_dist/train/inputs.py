"""What a run learns from: pairs, the rows of their sequences, and what is known of their origin."""

from __future__ import annotations

from dataclasses import dataclass

from snw_dist.config import SnwConfig
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.row_reader import RowReader
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.model.sides import check_sides
from snw_dist.predict.batches import IndexedPairs
from snw_dist.predict.stored_pairs import indexed_pairs
from snw_dist.predict.tokens import TokenReader
from snw_dist.trained_run.lineage import Lineage


@dataclass(frozen=True)
class Inputs:
    """Prepared pairs and the store, as one rank reads them."""

    header: StoreHeader
    reader: RowReader
    """Rows of the store, or tokens where the encoder is trained too."""
    train: IndexedPairs
    val: IndexedPairs
    lineage: Lineage


def read_inputs(config: SnwConfig) -> Inputs:
    """The prepared tables themselves are not kept. Raises `InputError` where the sides of symmetric pairs matter."""
    prepared = load_prepared(config.data_folder)
    check_sides(config.model.name, config.train.loss, prepared.symmetric)
    store = StoreReader(config.store_path)
    train, val = (indexed_pairs(prepared, store, split) for split in ("train", "val"))
    reader = store if config.train.encoder_mode == "frozen" else TokenReader(store, prepared)
    return Inputs(store.header, reader, train, val, Lineage.of(prepared, config.run_folder))
