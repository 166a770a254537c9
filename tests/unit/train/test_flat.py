"""A network in one parameter: the same numbers, bit for bit, and the same names."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import torch
from torch import nn

from snw_dist.config import ModelName, ModelSection
from snw_dist.model.build import build_model
from snw_dist.model.pair import Side
from snw_dist.train.flat import Flat, Part, cut, may_be_flat, parts_of
from snw_dist.train.gradients import GradientWatch
from snw_dist.train.partition import Partition

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PARTS = [Part("a", torch.Size([2, 3]), 0), Part("b", torch.Size([]), 6), Part("c", torch.Size([4]), 7)]


def network(name: ModelName) -> nn.Module:
    return build_model(dataclasses.replace(ModelSection(), name=name, d_model=16, dropout=0.0), 12, 1)


@pytest.mark.parametrize("name", get_args(ModelName))
def test_output_and_gradient_are_the_same_bits(name: ModelName) -> None:
    plain, flat = network(name), Flat(network(name))
    draw = torch.Generator().manual_seed(1)
    mask = torch.arange(9) < torch.tensor([[4], [9]])
    sides = [Side(torch.randn(2, 9, 12, generator=draw), mask, torch.tensor([0, 1, 1]), (4, 9)) for _ in range(2)]
    gradients, scores = [], []
    for model in (plain, flat):
        for _ in range(2):  # the second time the views are new ones
            model.zero_grad()
            output = model(*sides)
            output.score.sum().backward()
        scores.append(output.score)
        gradients.append([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    assert torch.equal(*scores)
    assert torch.equal(torch.cat(gradients[0]), gradients[1][0])


def test_names_and_shapes_are_those_of_the_network() -> None:
    plain = network("siamese")
    expected = {name: parameter.shape for name, parameter in plain.named_parameters()}
    flat = Flat(network("siamese"))
    assert [name for name, _ in flat.named_parameters()] == ["weights"]
    assert {part.name: part.shape for part in parts_of(flat)["weights"]} == expected
    assert {name: [(p.name, p.shape, p.start) for p in parts] for name, parts in parts_of(plain).items()} == {
        name: [(name, shape, 0)] for name, shape in expected.items()
    }
    for part in flat.parts:
        whole = dict(network("siamese").named_parameters())[part.name]
        assert torch.equal(flat.weights[part.start : part.stop].view(part.shape), whole)


@pytest.mark.parametrize(
    ("start", "stop", "found"),
    [
        (0, 11, [("a", 0, 6), ("b", 6, 7), ("c", 7, 11)]),
        (3, 9, [("a", 3, 6), ("b", 6, 7), ("c", 7, 9)]),
        (6, 7, [("b", 6, 7)]),
        (9, 20, [("c", 9, 11)]),
        (4, 4, []),
        (11, 20, []),
    ],
)
def test_what_of_the_weights_lies_in_a_piece(start: int, stop: int, found: list[tuple[str, int, int]]) -> None:
    assert [(part.name, first, last) for part, first, last in cut(PARTS, start, stop)] == found


def test_a_rank_holds_pieces_of_weights() -> None:
    place = SimpleNamespace(
        lp_fragment_address=SimpleNamespace(start=3, numel=6),
        hp_fragment_address=SimpleNamespace(start=0),
        param_group_index=0,
    )
    flat = nn.Parameter(torch.zeros(11))
    flat._hp_mapping = place  # type: ignore[attr-defined]
    wrapped = SimpleNamespace(single_partition_of_fp32_groups=[torch.arange(6.0)])
    partition = Partition(wrapped, {"weights": flat}, {"weights": PARTS}, 2, "fp32", 1)
    assert partition.shapes() == {"a": [2, 3], "b": [], "c": [4]}
    found = [(piece.name, piece.start, piece.view(piece.owner).tolist()) for piece in partition.pieces()]
    assert found == [("a", 3, [0.0, 1.0, 2.0]), ("b", 0, [3.0]), ("c", 0, [4.0, 5.0])]


@pytest.mark.parametrize(("bad", "name"), [(0, "a"), (2, "a"), (3, "b"), (5, "c")])
def test_the_weight_whose_gradient_is_bad_is_named(bad: int, name: str) -> None:
    """Of this rank's part, which begins at element 3 of the one parameter."""
    flat, gradient = nn.Parameter(torch.zeros(11)), torch.ones(6)
    gradient[bad] = torch.nan
    adam = torch.optim.AdamW([flat])
    wrapped: Any = SimpleNamespace(
        overflow=True,
        zero_grad=lambda: None,
        params_in_partition=[[flat]],
        first_offset=[3],
        averaged_gradients={0: [gradient]},
    )
    watch = GradientWatch(wrapped, adam, 2, {"weights": flat}, {"weights": PARTS})
    assert not wrapped.has_overflow(), "DeepSpeed asks the device for it, and the norm tells it again"
    watch.begin()
    wrapped.zero_grad()
    assert watch.suspect is not None
    assert (watch.suspect.name, watch.suspect.value) == (name, "nan")


def test_one_parameter_where_it_is_the_same_network_and_pays() -> None:
    model = network("siamese")
    assert [may_be_flat(model, CUDA, stage, {}) for stage in range(4)] == [True, True, True, False]
    assert not may_be_flat(model, CPU, 2, {})
    assert not may_be_flat(model, CUDA, 2, {"encoder.": 0.1})
    next(model.parameters()).requires_grad_(False)
    assert not may_be_flat(model, CUDA, 2, {})
