"""Some rows of a small array: the pooled vectors of a map, of which a large store has too many to be in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpc.errors import CorruptError
from snw_dist.embedding.store import tables
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.store.reader import StoreReader
from tests.kit.embedding_tools import ENCODER, SEQUENCES, WIDTH, fill_store, finished_store, flip_bit, rows_of


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two parts, each with several chunks of pooled rows."""
    monkeypatch.setattr(tables, "_MOST_CHUNK_BYTES", 4 * WIDTH * 3)
    path = tmp_path / "store.zarr"
    first = finished_store(path, SEQUENCES[:9], "float32")
    plan, later = plan_embedding(SEQUENCES[9:], 32, 8), path / "append_1"
    names = [("ligand", one, len(first.sequences) + place) for place, one in enumerate(plan.sequences)]
    part = PartPlan(1, later, plan, names, len(first.sequences))
    create_part(later, plan, part.header(ENCODER, "float32", WIDTH), names)
    fill_store(later, plan)
    finalize_part(later, plan)
    return path


def test_pooled_rows_are_the_means_of_the_rows_of_any_part(store: Path) -> None:
    reader = StoreReader(store)
    assert len([*(store / "pooled" / "c").iterdir()]) > 1
    order = [*SEQUENCES[::-1], SEQUENCES[4]]
    found = reader.pooled(reader.indices(order))
    np.testing.assert_allclose(found, [rows_of(one).mean(axis=0) for one in order], rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32
    assert reader.pooled(np.zeros(0, np.int64)).shape == (0, WIDTH)


def test_only_the_chunks_that_are_needed_are_read_and_a_damaged_one_is_named(store: Path) -> None:
    numbers = np.array([1, 7, 0])
    whole = tables.read_table(store, "pooled")
    np.testing.assert_array_equal(tables.read_table_rows(store, "pooled", numbers), whole[numbers])
    flip_bit(store / "pooled" / "c" / "1" / "0", 5)
    np.testing.assert_array_equal(tables.read_table_rows(store, "pooled", numbers), whole[numbers])
    with pytest.raises(CorruptError, match=r"pooled.*c/1/0: its crc32c is another"):
        tables.read_table_rows(store, "pooled", np.array([3]))
    (store / "pooled" / "c" / "1" / "0").unlink()
    with pytest.raises(CorruptError, match="pooled: cannot be read"):
        tables.read_table_rows(store, "pooled", numbers)
