"""The same pair, the same score: on a CPU bit for bit, whatever is scored beside it and by however many threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.config import ModelName, ModelSection
from snw_dist.embedding.row_reader import RowReader
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.model.build import build_model
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.predict.score import score_pairs
from snw_dist.predict.tuned_encoder import with_encoder
from snw_dist.scoring.sequences import Rows, tokens

CPU = torch.device("cpu")
NAMES: tuple[ModelName, ...] = get_args(ModelName)
WIDTH, MAX_LENGTH = 64, 210
LENGTHS = [*range(1, 13), *[9] * 30, 63, 64, 65, 144, 144, 200, 300]
"""Of the sequences; the last are beyond what goes through together, as pairs of each other too, and are cropped."""
DRAW = np.random.default_rng(3)
SEQUENCES = ["".join(DRAW.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in LENGTHS]
PAIRS = np.concatenate([DRAW.integers(0, len(LENGTHS), (60, 2)), [[47, 48], [48, 48], [0, 48], [46, 0]]])


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def section(name: ModelName) -> ModelSection:
    return ModelSection(name=name, d_model=48, num_heads=4, num_pooling_queries=12, embedding_size=16)


def changed(model: nn.Module) -> nn.Module:
    """Weights that are not those of the beginning: some of these are zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def of_rows(name: ModelName) -> tuple[nn.Module, RowReader]:
    generator = torch.Generator().manual_seed(2)
    rows = [torch.randn(length, WIDTH, generator=generator).half() for length in LENGTHS]
    return changed(build_model(section(name), WIDTH, seed=1)), Rows(rows)


def of_tokens(name: ModelName, rank: int | None) -> tuple[nn.Module, RowReader]:
    weights = tiny_random_weights(128, 1, 256).weights
    encoder = {"layers": [1], "combine": "concat"}
    model = with_encoder(build_model(section(name), 128, seed=1), weights, encoder, rank)
    return changed(model), Rows(list(tokens(SEQUENCES)))


CASES = [
    *(pytest.param(lambda name=name: of_rows(name), id=name) for name in NAMES),
    pytest.param(lambda: of_tokens("siamese", None), id="full"),
    pytest.param(lambda: of_tokens("cross_attention", 2), id="lora"),
]


def scores(model: nn.Module, reader: RowReader, pairs: IntArray, size: int) -> FloatArray:
    count, (ligand, receptor) = len(pairs), np.asarray(pairs, dtype=np.int64).reshape(-1, 2).T
    table = IndexedPairs(ligand, receptor, np.zeros(count, np.float32), np.zeros(count, bool), np.ones(count))
    return score_pairs(model, table, reader, MAX_LENGTH, size, CPU)


@pytest.mark.parametrize("make", CASES)
def test_the_same_bits_whatever_is_beside_it(make) -> None:  # type: ignore[no-untyped-def]
    model, reader = make()
    whole = scores(model, reader, PAIRS, 512)
    assert len(set(whole.tolist())) > 40

    @settings(max_examples=6, deadline=None)
    @given(
        rows=st.lists(st.integers(0, len(PAIRS) - 1), min_size=1, max_size=40),
        size=st.sampled_from([1, 7, 64]),
        threads=st.sampled_from([1, 2]),
    )
    def some(rows: list[int], size: int, threads: int) -> None:
        torch.set_num_threads(threads)
        np.testing.assert_array_equal(scores(model, reader, PAIRS[rows], size), whole[rows])

    some()


@pytest.mark.parametrize("make", CASES)
def test_they_are_the_scores_of_the_network(make) -> None:  # type: ignore[no-untyped-def]
    """Of its plain `forward`, over all pairs in one batch with padding."""
    model, reader = make()
    nothing = np.zeros(len(PAIRS))
    table = IndexedPairs(PAIRS[:, 0], PAIRS[:, 1], nothing.astype(np.float32), nothing.astype(bool), nothing)
    batch = make_batch(table, np.arange(len(PAIRS)), reader, MAX_LENGTH, CPU)
    with torch.no_grad():
        expected = model(batch.ligand, batch.receptor).score.numpy()
    np.testing.assert_allclose(scores(model, reader, PAIRS, 512), expected, rtol=0, atol=2e-5)


def test_the_order_of_the_sides_means_nothing_to_a_siamese_network() -> None:
    model, reader = of_rows("siamese")
    np.testing.assert_array_equal(scores(model, reader, PAIRS[:, ::-1], 64), scores(model, reader, PAIRS, 64))
