"""Prepared pairs and the numbers that their sequences have in a store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.data.prepared import Prepared
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.predict.stored_pairs import indexed_pairs
from tests.kit.train_tools import stored

LIGANDS = {"p1": "ACDEFGHIK", "p2": "LMN", "p3": "ACDEFGHIK", "p4": "W"}  # p1 and p3 are one sequence
RECEPTORS = {"r1": "MKV", "r2": "ACDEFG", "r3": "LMN"}  # r3 is also a ligand
PAIRS = pd.DataFrame(
    {
        "ligand_id": ["p1", "p3", "p2", "p4", "p1"],
        "receptor_id": ["r1", "r2", "r3", "r1", "r2"],
        "label": [1.0, 0.0, 0.25, 0.75, 0.5],
        "positive": [True, False, False, True, True],
        "split": ["train", "train", "val", "train", "test"],
        "weight": [1.0] * 5,
    }
)
PREPARED = Prepared(LIGANDS, RECEPTORS, PAIRS, {})


@pytest.fixture
def reader(tmp_path: Path) -> StoreReader:
    return stored(tmp_path / "store.zarr", [*LIGANDS.values(), *RECEPTORS.values()])


def test_the_table_is_in_the_order_of_the_pairs(reader: StoreReader) -> None:
    table = indexed_pairs(PREPARED, reader)
    assert len(table) == 5
    assert table.label.tolist() == [1.0, 0.0, 0.25, 0.75, 0.5]
    assert table.positive.tolist() == [True, False, False, True, True]
    assert table.ligand[0] == table.ligand[1] == reader.index("ACDEFGHIK")
    assert table.ligand[2] == table.receptor[2] == reader.index("LMN")
    assert indexed_pairs(PREPARED, reader, "train").label.tolist() == [1.0, 0.0, 0.75]
    assert len(indexed_pairs(PREPARED, reader, "nothing")) == 0
    assert table.weight.tolist() == [1.0] * 5
    weighted = Prepared(LIGANDS, RECEPTORS, PAIRS.assign(weight=[1.0, 0.5, 2.0, 0.0, 1.0]), {})
    assert indexed_pairs(weighted, reader, "train").weight.tolist() == [1.0, 0.5, 0.0]
    taken = table.take(np.asarray([3, 0]))
    assert taken.label.tolist() == [0.75, 1.0]
    assert taken.receptor.tolist() == [table.receptor[3], table.receptor[0]]


def test_a_sequence_that_was_not_embedded(reader: StoreReader) -> None:
    other = Prepared({**LIGANDS, "p1": "YYYY"}, RECEPTORS, PAIRS, {})
    with pytest.raises(InputError, match="1 sequences of the present input are not in it"):
        indexed_pairs(other, reader, "train")
    indexed_pairs(other, reader, "val")
