"""Networks as they are built: seeds, sizes, what is refused."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import torch

from hpc.errors import InputError
from snw_dist.config import ModelName, ModelSection
from snw_dist.model.build import SIZES, build_model, count_parameters, size_of
from tests.kit.model_tools import D_INPUT, NAMES, compared, model_of, side


def test_weights_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    torch.manual_seed(5)
    seeded.clear()
    before = torch.get_rng_state()
    one = model_of("pseudo_siamese", seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert seeded == []  # a seed for the GPUs would give every rank the same dropout
    torch.rand(17)
    two = model_of("pseudo_siamese", seed=3)
    other = model_of("pseudo_siamese", seed=4)
    for (label, a), b, c in zip(one.state_dict().items(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert a.dtype == torch.float32
        assert a.device.type == "cpu"
        constant = bool((a == a.flatten()[0]).all()) or label.endswith(("centre", "norm.bias"))
        assert constant == torch.equal(a, c), label


def test_the_towers_of_a_pseudo_siamese_network_differ() -> None:
    model = model_of("pseudo_siamese")
    assert not torch.equal(model.ligand_tower.pooling.value.weight, model.receptor_tower.pooling.value.weight)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_null_is_that_of_the_size(name: ModelName) -> None:
    sizes = [ModelSection(name=name, size=size) for size in ("light", "base", "large")]  # type: ignore[arg-type]
    numbers = [sum(p.numel() for p in build_model(section, D_INPUT, 1).parameters()) for section in sizes]
    assert numbers == sorted(numbers)
    assert numbers[0] * 4 < numbers[1]
    given = ModelSection(name=name, size="light", num_conv_layers=3, num_heads=2)
    assert size_of(given) == dataclasses.replace(SIZES["light"], num_conv_layers=3, num_heads=2)


def test_a_light_tower_has_no_convolutions_and_no_transformer() -> None:
    assert not build_model(ModelSection(name="siamese", size="light"), D_INPUT, 1).tower.encoder.blocks


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(InputError, match=r"model\.d_model 32 must be a multiple of model\.num_heads 5"):
        model_of("siamese", num_heads=5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "changes", [{"num_conv_layers": 0}, {"num_transformer_layers": 0}, {"kernel_size": 4}, {"num_pooling_queries": 1}]
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_every_legal_size_runs(name: str, changes: dict[str, int]) -> None:
    output = model_of(name, **changes)(side([1, 1], [0, 1]), side([1, 3], [0, 1], 1))
    assert torch.isfinite(compared(output)).all()


@pytest.mark.parametrize("name", get_args(ModelName))
def test_a_network_larger_than_the_memory_is_refused_before_it_is_made(name: ModelName) -> None:
    section = ModelSection(name, "large", 65_536, 64, 2, 2, num_pooling_queries=65_536)
    with pytest.raises(InputError, match=r"the network has [\d,]+ parameters, [\d,.]+ GB of memory, and [\d,.]+ GB"):
        build_model(section, 960, seed=0)


def test_the_parameters_are_counted_without_the_network() -> None:
    for name in get_args(ModelName):
        section = ModelSection(name=name)
        made = sum(parameter.numel() for parameter in build_model(section, 96, seed=0).parameters())
        assert count_parameters(section, 96) == made
