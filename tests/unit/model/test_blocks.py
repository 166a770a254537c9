"""What a GPU must not be made to do: plan for each new shape, or be waited for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import snw_dist.model
from snw_dist.config import LossName, ModelName, ModelSection
from snw_dist.model.blocks import Convolution, attend
from snw_dist.model.build import build_model
from snw_dist.model.legal_losses import LOSSES
from snw_dist.model.pair import Side
from snw_dist.predict.batches import Target
from snw_dist.train.objective import Objective

NAMES = get_args(ModelName)
D_INPUT = 12


def network(name: ModelName) -> nn.Module:
    return build_model(dataclasses.replace(ModelSection(), name=name, d_model=16), D_INPUT, 1)


def side(lengths: tuple[int, ...], num_pairs: int) -> Side:
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    index = torch.arange(num_pairs) % len(lengths)
    return Side(torch.ones(len(lengths), max(lengths), D_INPUT), mask, index, lengths)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("size", range(1, 7))
@pytest.mark.parametrize("options", [{"padding": "same"}, {"padding": 1}, {"padding": 1, "stride": 2}], ids=str)
def test_a_convolution_as_a_product(size: int, options: dict[str, Any]) -> None:
    draw = torch.Generator().manual_seed(size)
    layer = Convolution(5, 7, size, **options).double()
    x = torch.randn(3, 11, 5, generator=draw, dtype=torch.float64).transpose(1, 2).requires_grad_()
    found = []
    for way in (layer.as_product, layer):
        x.grad = None
        layer.zero_grad()
        output = way(x)
        (output * torch.arange(output.numel()).view(output.shape)).sum().backward()
        found.append([output, x.grad, layer.weight.grad, layer.bias.grad])  # type: ignore[union-attr]
    for product, convolution in zip(*found, strict=True):
        torch.testing.assert_close(product, convolution)


@pytest.mark.parametrize(("device", "allowed"), [("meta", False), ("cpu", True)])
def test_cudnn_does_not_attend(monkeypatch: pytest.MonkeyPatch, device: str, allowed: bool) -> None:
    """The setting belongs to the process. On a CPU, where passes run side by side, nobody touches it."""
    asked = []
    plain = F.scaled_dot_product_attention

    def watched(*arguments: Any, **options: Any) -> torch.Tensor:
        asked.append(torch.backends.cuda.cudnn_sdp_enabled())
        return plain(*arguments, **options)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    assert torch.backends.cuda.cudnn_sdp_enabled()
    x, mask = torch.zeros(2, 4, 5, 8, device=device), torch.ones(2, 5, dtype=torch.bool, device=device)
    assert attend(x, x, x, mask, 0.0).shape == x.shape
    assert asked == [allowed]
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_attention_and_convolution_are_in_one_place() -> None:
    """A network that took torch's own would have a plan made for each new shape."""
    folder = Path(snw_dist.model.__file__).parent
    for part in ("scaled_dot_product_attention(", "nn.Conv1d", "MultiheadAttention"):
        users = [path.name for path in sorted(folder.glob("*.py")) if part in path.read_text()]
        assert users == (["blocks.py"] if part != "MultiheadAttention" else []), part


@pytest.mark.parametrize(("name", "loss"), [(name, loss) for name in NAMES for loss in LOSSES[name]])
def test_a_step_asks_the_device_for_nothing(name: ModelName, loss: LossName) -> None:
    """Tensors without values: whoever asked for one, to decide or to make a shape, would have to wait for the GPU."""
    model, sides, count = network(name), (side((3, 5, 30), 6), side((9, 70, 20, 7), 6)), 6
    target = Target(torch.ones(count), torch.arange(count), torch.arange(count) % 2, torch.ones(count))
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, NoNumbersToTheDevice():
        fake = [one._replace(**{key: mode.from_tensor(getattr(one, key)) for key in TENSORS}) for one in sides]
        known = Target(*(mode.from_tensor(part) for part in target))
        value, own = Objective(loss, 2.0, 0.1, 1.0, "all").shared(model(*fake), known, count)
        value.backward()
        with pytest.raises(DataDependentOutputException):
            float(own)


TENSORS = ("states", "mask", "pair_index")


class NoNumbersToTheDevice(TorchDispatchMode):
    """`torch.where` with a number makes a tensor of it on the processor; its copy to a GPU is waited for."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert function is not torch.ops.aten.where.self or all(isinstance(part, FakeTensor) for part in args)
        return function(*args, **(kwargs or {}))
