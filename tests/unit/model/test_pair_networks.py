"""Promises of the pair networks: padding, sides, order, gradients, seeds."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import nn

from snw_dist.model.blocks import POSITION_SIZE, AttentionPooling, InputProjection, two_ended_positions
from snw_dist.model.complex import CrossAttentionBlock
from snw_dist.model.legal_losses import loss_of
from snw_dist.model.pair import PairOutput, Side, unit_distance
from snw_dist.predict.batches import Target
from snw_dist.train.objective import Objective
from tests.kit.model_tools import LEFT, LIGANDS, NAMES, RECEPTORS, RIGHT, compared, model_of, side

TOLERANCE = 1e-6


def difference(a: PairOutput, b: PairOutput) -> float:
    return float((compared(a) - compared(b)).detach().abs().max())


def loss(model: nn.Module, output: PairOutput, label: torch.Tensor) -> torch.Tensor:
    """By the loss that the network is trained by, the pairs being of different sequences."""
    name = next(name for name in NAMES if type(model) is type(model_of(name)))
    ids = torch.arange(len(label))
    return Objective(loss_of(name, "auto"), 2.0, 0.1, 1.0, "all").losses(
        output, Target(label, ids, ids % 2, torch.ones(len(label)))
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("garbage", [0.0, 1.0, -1e6, 3e38, float("inf"), float("nan")])
@torch.no_grad()
def test_padding_never_changes_a_score(name: str, garbage: float) -> None:
    model = model_of(name, num_conv_layers=2, num_transformer_layers=2).eval()
    plain = model(side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1))
    padded = model(side(LIGANDS, LEFT, 0, 7, garbage), side(RECEPTORS, RIGHT, 1, 50, garbage))
    assert difference(plain, padded) < TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_garbage_in_the_padding_spoils_no_gradient(name: str) -> None:
    gradients = []
    for garbage in (0.0, float("nan")):
        model = model_of(name).eval()
        output = model(side(LIGANDS, LEFT, 0, 3, garbage), side(RECEPTORS, RIGHT, 1, 3, garbage))
        compared(output).sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, padded in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, padded)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_a_pair_alone_and_in_a_batch(name: str) -> None:
    model = model_of(name).eval()
    ligand, receptor = side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)
    together = compared(model(ligand, receptor))
    for pair, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        one, two = alone(ligand, left), alone(receptor, right)
        assert abs(float(compared(model(one, two)) - together[pair])) < TOLERANCE


def alone(both: Side, row: int) -> Side:
    """One sequence without its padding, of one pair."""
    length = both.lengths[row]
    mask = torch.ones(1, length, dtype=torch.bool)
    return Side(both.states[row : row + 1, :length], mask, torch.zeros(1, dtype=torch.int64), (length,))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_swapping_the_sides(name: str) -> None:
    ligand, receptor = side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)
    model = model_of(name).eval()
    change = difference(model(ligand, receptor), model(receptor, ligand))
    assert (change == 0.0) == (name == "siamese")
    assert change == 0.0 or change > 1e-3


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_each_distinct_sequence_is_read_once(name: str) -> None:
    model, read = model_of(name).eval(), []
    for module in model.modules():
        if isinstance(module, InputProjection):
            module.register_forward_hook(lambda _, inputs, __: read.append(len(inputs[0])))
    model(side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1))
    assert sorted(read) == [len(RECEPTORS), len(LIGANDS)]


@torch.no_grad()
def test_cross_attention_says_where_it_looked() -> None:
    ligand, receptor = side(LIGANDS, LEFT, 0, 2, float("nan")), side(RECEPTORS, RIGHT, 1, 3, float("nan"))
    attention = model_of("cross_attention").eval()(ligand, receptor).attention
    assert attention.shape == (6, max(LIGANDS) + 2, max(RECEPTORS) + 3)
    for pair, (left, right) in enumerate(zip(LEFT, RIGHT, strict=True)):
        row, column = LIGANDS[left], RECEPTORS[right]
        torch.testing.assert_close(attention[pair, :row].sum(dim=1), torch.ones(row))
        assert (attention[pair, :row, :column] > 0).all()
        assert not attention[pair, row:].any()
        assert not attention[pair, :, column:].any()


@torch.no_grad()
def test_cross_attention_begins_with_places_alone() -> None:
    one, other = (side(RECEPTORS, RIGHT, seed) for seed in (1, 2))
    ligand = side(LIGANDS, LEFT, 0)
    model = model_of("cross_attention").eval()
    first, second = model(ligand, one), model(ligand, other)
    assert torch.equal(first.attention, second.attention)
    assert not torch.equal(first.score, second.score)
    for block in model.encoder.blocks:
        block.query.weight.normal_()
    assert not torch.equal(model(ligand, one).attention, model(ligand, other).attention)


@torch.no_grad()
def test_two_complexes_are_as_far_from_each_other_either_way() -> None:
    output = model_of("pair_of_pairs").eval()(side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1))
    between = unit_distance(output.complex[:, None], output.complex)
    assert torch.equal(between, between.T)
    torch.testing.assert_close(output.complex.norm(dim=1), torch.ones(6))


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_order_of_pairs_and_of_sequences_is_irrelevant(name: str) -> None:
    model = model_of(name).eval()
    ligand, receptor = side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)
    plain = compared(model(ligand, receptor))
    order = torch.tensor([5, 2, 0, 1, 4, 3])
    shuffled = model(
        ligand._replace(pair_index=ligand.pair_index[order]), receptor._replace(pair_index=receptor.pair_index[order])
    )
    assert float((compared(shuffled) - plain[order]).abs().max()) < TOLERANCE
    rows = torch.tensor([2, 0, 3, 1])
    lengths = tuple(ligand.lengths[row] for row in rows.tolist())
    moved = Side(ligand.states[rows], ligand.mask[rows], rows.argsort()[ligand.pair_index], lengths)
    assert float((compared(model(moved, receptor)) - plain).abs().max()) < TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = model_of(name)
    with torch.no_grad():
        for module in model.modules():  # queries start at zero, where what is before them has no gradient yet
            if isinstance(module, AttentionPooling):
                module.queries.weight.normal_(std=0.1)
            if isinstance(module, CrossAttentionBlock):
                module.query.weight.normal_(std=0.1)
    output = model(side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1))
    loss(model, output, torch.tensor([0.0, 1.0, 0.3, 0.0, 1.0, 0.9])).sum().backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None, label
        assert torch.isfinite(parameter.grad).all(), label
        assert parameter.grad.abs().max() > 0, label


def test_a_new_network_moves_its_queries() -> None:
    model = model_of("siamese")
    model(side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)).distance.sum().backward()
    assert model.tower.pooling.queries.weight.grad.abs().max() > 0


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_close_and_trains(name: str) -> None:
    full, half = model_of(name).eval(), model_of(name).eval().to(torch.bfloat16)
    ligand, receptor = side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)
    output = half(ligand, receptor)
    assert output.score.dtype == compared(output).dtype == torch.float32
    assert difference(full(ligand, receptor), output) < 0.05
    stored = ligand._replace(states=ligand.states.to(torch.bfloat16))
    assert torch.equal(half(stored, receptor).score, output.score)
    compared(output).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in half.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_network_in_float32_takes_rows_of_a_smaller_type(dtype: torch.dtype) -> None:
    model, ligand, receptor = model_of("siamese").eval(), side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)
    stored = [s._replace(states=s.states.to(dtype)) for s in (ligand, receptor)]
    rounded = [s._replace(states=s.states.float()) for s in stored]
    assert torch.equal(model(*stored).score, model(*rounded).score)


@pytest.mark.parametrize("name", NAMES)
def test_thirty_two_pairs_are_learned(name: str) -> None:
    ligand, receptor = side([9] * 32, list(range(32))), side([12] * 2, [0, 1] * 16, seed=5)
    label = torch.rand(32, generator=torch.Generator().manual_seed(3))
    model = model_of(name, dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss(model, model(ligand, receptor), label).mean().backward()
        optimizer.step()
    score = model(ligand, receptor).score.detach()
    assert stats.spearmanr(score, label).statistic > 0.95
    if name != "triplet":  # which orders pairs and says nothing of what a score is worth
        assert float((score - label).abs().max()) < 0.15


def test_the_position_is_told_from_both_ends() -> None:
    mask = torch.arange(9) < torch.tensor([[4], [9]])
    positions = two_ended_positions(mask)
    assert positions.shape == (2, 9, 2 * POSITION_SIZE)
    alone = two_ended_positions(torch.ones(1, 4, dtype=torch.bool))
    assert torch.equal(positions[0, :4], alone[0])
    from_start, from_end = positions.unflatten(2, (2, POSITION_SIZE)).unbind(2)
    assert torch.equal(from_start[0, :4], from_start[1, :4])
    assert torch.equal(from_end[0, :4], from_end[1, 5:])


def test_dropout_is_only_in_training() -> None:
    model = model_of("siamese", dropout=0.5)
    ligand, receptor = side(LIGANDS, LEFT), side(RECEPTORS, RIGHT, 1)
    assert difference(model(ligand, receptor), model(ligand, receptor)) > 0
    model.eval()
    assert difference(model(ligand, receptor), model(ligand, receptor)) == 0
