"""Batches of pairs against the rows of the store."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch

from hpc.errors import CorruptError
from snw_dist.config import ModelName, ModelSection
from snw_dist.data.prepared import Prepared
from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.model import buckets
from snw_dist.model.build import build_model
from snw_dist.predict import batches
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.predict.score import score_pairs
from snw_dist.predict.stored_pairs import indexed_pairs
from tests.kit.train_tools import WIDTH, embedding_of, stored

CPU = torch.device("cpu")
LIGANDS = {"p1": "ACDEFGHIK", "p2": "LMN", "p3": "ACDEFGHIK", "p4": "W"}  # p1 and p3 are one sequence
RECEPTORS = {"r1": "MKV" * 10, "r2": "ACDEFGHIKLMNPQRST", "r3": "LMN"}  # r3 is also a ligand
PAIRS = pd.DataFrame(
    [
        ("p1", "r1", 1.0, True, "train"),
        ("p3", "r2", 0.0, False, "train"),
        ("p2", "r3", 0.25, False, "val"),
        ("p4", "r1", 0.75, True, "train"),
        ("p1", "r2", 0.5, True, "test"),
    ],
    columns=["ligand_id", "receptor_id", "label", "positive", "split"],
).assign(weight=1.0)
PREPARED = Prepared(LIGANDS, RECEPTORS, PAIRS, {})


@pytest.fixture(scope="module", params=["float32", "float16", "bfloat16"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> StoreReader:
    path = tmp_path_factory.mktemp("store") / "store.zarr"
    return stored(path, [*LIGANDS.values(), *RECEPTORS.values()], request.param)


def test_a_batch_equals_the_store(reader: StoreReader) -> None:
    table = indexed_pairs(PREPARED, reader)
    pairs = np.asarray([4, 1, 2, 0])
    batch = make_batch(table, pairs, reader, 2048, CPU)
    assert batch.target.label.dtype == batch.target.weight.dtype == torch.float32
    assert batch.target.label.tolist() == [0.5, 0.0, 0.25, 1.0]
    assert batch.target.weight.tolist() == [1.0] * 4
    assert batch.target.ligand_id.tolist() == table.ligand[pairs].tolist()
    assert batch.target.receptor_id.tolist() == table.receptor[pairs].tolist()
    assert batch.ligand.states.shape == (2, 9, WIDTH)  # three of the four ligands are one sequence
    assert batch.receptor.states.shape == (3, 30, WIDTH)
    for side, ids, table_of in ((batch.ligand, "ligand_id", LIGANDS), (batch.receptor, "receptor_id", RECEPTORS)):
        assert side.states.dtype == reader.dtype
        assert side.mask.dtype == torch.bool
        assert side.pair_index.dtype == torch.int64
        for place, pair in enumerate(pairs):
            sequence = table_of[PAIRS[ids][pair]]
            row = side.pair_index[place]
            expected = torch.from_numpy(embedding_of(sequence)).to(reader.dtype)
            assert torch.equal(side.states[row, side.mask[row]], expected)
            assert side.mask[row].tolist() == [i < len(sequence) for i in range(side.mask.shape[1])]
            assert not side.states[row, ~side.mask[row]].any()


@pytest.mark.parametrize(("most", "start"), [(30, 0), (29, 0), (28, 1), (11, 9), (1, 14)])
def test_a_long_sequence_is_cropped_to_its_middle(reader: StoreReader, most: int, start: int) -> None:
    table = indexed_pairs(PREPARED, reader)
    side = make_batch(table, np.asarray([0]), reader, most, CPU).receptor
    expected = torch.from_numpy(embedding_of(RECEPTORS["r1"])[start : start + most]).to(reader.dtype)
    assert torch.equal(side.states[0], expected)
    assert side.mask.all()
    shorter = make_batch(table, np.asarray([0]), reader, most, CPU).ligand
    assert shorter.mask.sum() == min(9, most)


@pytest.mark.parametrize("name", get_args(ModelName))
def test_scores_come_back_in_the_order_of_the_table(reader: StoreReader, name: ModelName) -> None:
    section = ModelSection(name=name, d_model=16, num_heads=2, num_pooling_queries=2, embedding_size=8)
    model = build_model(section, WIDTH, seed=0).eval()
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, len(reader.lengths), (2, 23))
    table = IndexedPairs(numbers[0], numbers[1], np.zeros(23, np.float32), np.zeros(23, bool), np.ones(23))
    scores = {size: score_pairs(model, table, reader, 20, size, CPU) for size in (1, 5, 100)}
    assert scores[1].dtype == np.float64
    assert scores[1].min() >= 0
    assert scores[1].max() <= 1
    np.testing.assert_array_equal(scores[5], scores[1])
    np.testing.assert_array_equal(scores[100], scores[1])
    for pair in (0, 11, 22):
        batch = make_batch(table, np.asarray([pair]), reader, 20, CPU)
        with torch.no_grad():
            assert scores[1][pair] == pytest.approx(float(model(batch.ligand, batch.receptor).score), abs=1e-6)
    assert len(score_pairs(model, table.take(np.zeros(0, np.int64)), reader, 20, 5, CPU)) == 0


@pytest.mark.parametrize("name", get_args(ModelName))
def test_sizes_are_rounded_up_on_a_gpu_and_nothing_else_changes(
    reader: StoreReader, name: ModelName, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = ModelSection(name=name, d_model=16, num_pooling_queries=2, embedding_size=8, dropout=0.0)
    model, table, found = build_model(section, WIDTH, seed=0), indexed_pairs(PREPARED, reader), []
    for rows, multiple in ((1, 1), (16, 32)):
        monkeypatch.setitem(buckets.ROWS, "cpu", rows)
        monkeypatch.setitem(buckets.MULTIPLE, "cpu", multiple)
        monkeypatch.setattr(batches, "_room", lambda shape, dtype, _: torch.full(shape, torch.nan, dtype=dtype))
        batch = make_batch(table, np.arange(5), reader, 2048, CPU)
        assert [side.states.shape[0] % rows for side in batch[:2]] == [0, 0]
        assert [side.states.shape[1] % multiple for side in batch[:2]] == [0, 0]
        for side in batch[:2]:
            assert side.mask.sum(dim=1).tolist() == list(side.lengths) == sorted(side.lengths)
        model.zero_grad()
        score = model(batch.ligand, batch.receptor).score
        (score * torch.arange(1.0, 6.0)).sum().backward()
        found.append([score, *(parameter.grad for parameter in model.parameters() if parameter.grad is not None)])
    for exact, rounded in zip(*found, strict=True):
        torch.testing.assert_close(rounded, exact, rtol=1e-4, atol=1e-5)


def test_a_damaged_shard_stops_the_batch(tmp_path: Path) -> None:
    reader = stored(tmp_path / "s", [*LIGANDS.values(), *RECEPTORS.values()])
    table = indexed_pairs(PREPARED, reader)
    shard_path(tmp_path / "s", 0).unlink()
    with pytest.raises(CorruptError, match="shard 0"):
        make_batch(table, np.asarray([0]), reader, 2048, CPU)
