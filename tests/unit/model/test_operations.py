"""Operations by length are those that torch counts in a real pass, and to count them leaves no trace."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from snw_dist.arrays import IntArray
from snw_dist.model.operations import operations_of
from tests.kit.model_tools import D_INPUT, NAMES, model_of, side


def of_lengths(*lengths: int) -> IntArray:
    return np.array(lengths, dtype=np.int64)


@pytest.mark.parametrize("name", NAMES)
def test_exact_for_other_lengths_and_batches(name: str) -> None:
    """Two ligands and three receptors of equal lengths, so that nothing is padded, in five pairs."""
    model = model_of(name, num_transformer_layers=2, dropout=0.3).train()
    operations = operations_of(model, D_INPUT)
    for left, right in [(1, 30), (9, 41), (15, 2), (8, 63)]:
        with FlopCounterMode(display=False) as peer, sdpa_kernel(SDPBackend.MATH):
            output = model(side([left] * 2, [0, 0, 0, 1, 1]), side([right] * 3, [0, 1, 2, 1, 2], seed=1))
            output.score.sum().backward()
        found = operations(
            of_lengths(left, left), of_lengths(right, right, right), *np.array([[left] * 5, [right] * 5])
        )
        assert found == pytest.approx(peer.get_total_flops(), rel=1e-9)


def test_it_adds_up_over_sequences_and_pairs() -> None:
    operations, none = operations_of(model_of("cross_attention"), D_INPUT), of_lengths()
    parts = [
        operations(of_lengths(7), none, none, none),
        operations(of_lengths(9), none, none, none),
        operations(none, of_lengths(20), none, none),
        operations(none, none, of_lengths(7), of_lengths(20)),
        operations(none, none, of_lengths(9), of_lengths(20)),
    ]
    assert min(parts) > 0
    whole = operations(of_lengths(7, 9), of_lengths(20), of_lengths(7, 9), of_lengths(20, 20))
    assert whole == pytest.approx(sum(parts))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [True, False])
def test_training_goes_on_as_if_nobody_had_counted(name: str, training: bool) -> None:
    model = model_of(name, dropout=0.3).train(training)
    weights, drawn = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    operations_of(model, D_INPUT)
    assert torch.equal(drawn, torch.get_rng_state())
    assert all(torch.equal(one, weights[key]) for key, one in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert all(module.training == training for module in model.modules())
