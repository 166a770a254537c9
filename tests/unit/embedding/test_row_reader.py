"""What every reader of rows must do, whatever it has them from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from snw_dist.data.prepared import Prepared
from snw_dist.embedding.row_reader import RowReader, read_rows
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.evaluate.controls.noise import NoiseReader
from snw_dist.predict.tokens import TokenReader
from tests.kit.embedding_tools import ENCODER, WIDTH, fill_store, finished_store, random_sequences

FIRST, LATER = random_sequences([3, 8, 9, 30], seed=1), random_sequences([4, 12, 31], seed=2)
KINDS = ("store", "store of two parts", "noise", "noise of two parts", "tokens", "tokens of two parts")


@pytest.fixture(scope="module", params=KINDS)
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RowReader:
    path: Path = tmp_path_factory.mktemp("readers") / "s"
    finished_store(path, FIRST)
    sequences = FIRST
    if "two parts" in request.param:
        part, plan = path / "append_1", plan_embedding(LATER, 32, 8)
        names = [("ligand", f"later {i}", len(FIRST) + i) for i in range(len(LATER))]
        create_part(part, plan, PartPlan(1, part, plan, names, len(FIRST)).header(ENCODER, "float32", WIDTH), names)
        fill_store(part, plan)
        finalize_part(part, plan)
        sequences = FIRST + LATER
    store = StoreReader(path)
    if "noise" in request.param:
        return NoiseReader(store, np.arange(len(sequences)), seed=1)
    if "tokens" in request.param:
        return TokenReader(store, Prepared({s: s for s in sequences}, {}, pd.DataFrame(), {}))
    return store


def test_every_sequence_has_a_row_for_each_residue(reader: RowReader) -> None:
    assert reader.lengths.dtype == np.int64
    assert sorted(reader.lengths) in ([3, 8, 9, 30], [3, 4, 8, 9, 12, 30, 31])
    for index, length in enumerate(reader.lengths.tolist()):
        rows = read_rows(reader, index)
        assert rows.shape == (length, reader.row_width)
        assert rows.dtype == reader.dtype
        assert torch.equal(rows, read_rows(reader, index))
        assert torch.equal(read_rows(reader, index, 1, 3), rows[1:3])


def test_a_batch_is_in_the_order_asked_for_and_leaves_the_rest_alone(reader: RowReader) -> None:
    last = len(reader.lengths) - 1
    indices, starts, counts = [last, 0, 2, 0, last], [2, 0, 1, 1, 0], [3, 3, 5, 2, 4]
    out = torch.full((5, 6, reader.row_width), 77, dtype=reader.dtype)
    reader.read_batch(out, indices, starts, counts)
    for row, (index, start, count) in enumerate(zip(indices, starts, counts, strict=True)):
        assert torch.equal(out[row, :count], read_rows(reader, index)[start : start + count])
        assert (out[row, count:] == 77).all()


def test_a_number_beyond_the_last_is_refused(reader: RowReader) -> None:
    out = torch.zeros(1, 1, reader.row_width, dtype=reader.dtype)
    with pytest.raises(LookupError):
        reader.read_batch(out, [len(reader.lengths)], [0], [1])
