"""The share of the machine's limit: what the pairs of a step need, by what all ranks together could do."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch

from hpc.ranks.communicator import Communicator
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.model.build import build_model
from snw_dist.model.operations import Operations, operations_of
from snw_dist.predict.tuned_encoder import with_encoder
from snw_dist.train import meter as meter_module
from snw_dist.train.meter import Meter, products_of
from tests.kit.model_tools import D_INPUT, SMALL, model_of

CPU = torch.device("cpu")
LENGTH, LENGTHS = np.array([0, 1, 0, 0, 0, 0, 0.0]), np.array([9, 8, 30, 41, 50])
RESIDUES = Operations(LENGTH, 100 * LENGTH, np.array([0, 0, 0, 1e6]))


class Ranks:
    """Of which each measures the same."""

    def gather(self, value: Any) -> list[Any]:
        return [value, value, value]


def test_a_sequence_counts_once_in_each_part_and_a_pair_once() -> None:
    ligand, receptor = np.array([0, 1, 0, 1, 1]), np.array([2, 2, 3, 3, 2])
    meter = Meter(RESIDUES, limit=1.0)
    alone = meter.operations(LENGTHS, ligand, receptor, [np.arange(5)])
    pairs = 1e6 * (9 * 30 + 8 * 30 + 9 * 41 + 8 * 41 + 8 * 30)
    assert alone == (9 + 8) + 100 * (30 + 41) + pairs
    parts = [np.array([1, 4]), np.array([0, 2, 3]), np.array([], dtype=np.int64)]
    assert meter.operations(LENGTHS, ligand, receptor, parts) == 8 + (9 + 8) + 100 * (30 + 30 + 41) + pairs


def test_the_limit_is_that_of_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter_module, "matrix_rate", lambda *_: 50.0)
    meter = Meter.of(model_of("siamese"), D_INPUT, "fp32", CPU, cast(Communicator, Ranks()))
    assert meter.share(operations=600.0, seconds=8.0) == 0.5


@pytest.mark.parametrize("rank", [None, 4])
def test_a_trained_encoder_is_a_part_of_it(rank: int | None) -> None:
    """Its rows have a gradient, so the first layer of the network needs more than on rows of a store."""
    weights = tiny_random_weights(num_layers=3).weights
    network = build_model(SMALL, weights.d_model, seed=1)
    encoded = with_encoder(network, weights, {"layers": [2], "combine": "concat"}, rank)
    drawn, one = torch.get_rng_state(), (np.array([9]), np.array([30]))
    meter = Meter.of(encoded, weights.d_model, "bf16", CPU, cast(Communicator, Ranks()))
    assert torch.equal(drawn, torch.get_rng_state())
    found = meter.operations(np.array([9, 30]), np.array([0]), np.array([1]), [np.array([0])])
    frozen = operations_of(network, weights.d_model)(*one, *one)
    gradient_of_rows = 2 * (9 + 30) * weights.d_model * 32
    encoder = encoded.encoder.operations(9) + encoded.encoder.operations(30)  # type: ignore[operator]
    assert found == pytest.approx(frozen + gradient_of_rows + encoder, rel=1e-9)


def test_the_largest_products_are_the_measure() -> None:
    assert products_of(torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Conv1d(4, 2, 7))) == [(3, 5), (28, 2)]
    assert len(products_of(model_of("pseudo_siamese"))) == 4
