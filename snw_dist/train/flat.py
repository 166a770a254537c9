"""All weights of a network in one parameter, whose views they are: what DeepSpeed does for a parameter, it does once.

For each parameter it has a hook in Python, a copy, a test for what is not finite and a norm: on a GPU two thirds of the
time of a step of a small network, in which hardly anything is computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn


class Part(NamedTuple):
    """A weight of the network: where its elements are in the parameter that DeepSpeed sees."""

    name: str
    shape: torch.Size
    start: int
    """Position of the first one in the flattened parameter."""

    @property
    def stop(self) -> int:
        """Position after the last one."""
        return self.start + self.shape.numel()


class Flat(nn.Module):
    """A network of which every weight is trained, with one parameter; what it computes is the same."""

    def __init__(self, network: nn.Module) -> None:
        """`network` gives its parameters away, and is of use in here only."""
        super().__init__()
        named = dict(network.named_parameters())
        numbers = {id(parameter): number for number, parameter in enumerate(named.values())}
        holders = [(module, key, own) for module in network.modules() for key, own in module._parameters.items()]
        self._places = [(module, key, numbers[id(own)]) for module, key, own in holders if own is not None]
        self.weights = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in named.values()]))
        self.parts, start = list[Part](), 0
        for name, parameter in named.items():
            self.parts.append(Part(name, parameter.shape, start))
            start = self.parts[-1].stop
        for module, key, _ in self._places:
            del module._parameters[key]
        self.network = network

    def forward(self, *inputs: Any) -> Any:
        """What the network gives."""
        split = torch.split(
            self.weights, [part.shape.numel() for part in self.parts]
        )  # its gradient is put together at once
        for module, key, number in self._places:
            object.__setattr__(module, key, split[number].view(self.parts[number].shape))
        return self.network(*inputs)


def may_be_flat(model: nn.Module, device: torch.device, zero_stage: int, ratios: Mapping[str, float]) -> bool:
    """Whether one parameter will do, and pays.

    Not in ZeRO-3, which drops and fetches weights one by one; nor where a part of the network is frozen or has a
    learning rate of its own, as an encoder has. On a processor nothing has to be started, and no bit changes.
    """
    trained = all(parameter.requires_grad for parameter in model.parameters())
    return device.type == "cuda" and zero_stage < 3 and not ratios and trained


def parts_of(model: nn.Module) -> dict[str, Sequence[Part]]:
    """The weights that each parameter is made of, by its name: one of the same name, where the model is not `Flat`."""
    if isinstance(model, Flat):
        return {"weights": model.parts}
    return {name: [Part(name, parameter.shape, 0)] for name, parameter in model.named_parameters()}


def cut(parts: Sequence[Part], start: int, stop: int) -> Iterator[tuple[Part, int, int]]:
    """Those of `parts` that are among elements `start` to `stop` of their parameter: (part, first, last + 1) of each.

    The positions are counted in the parameter.
    """
    for part in parts:
        first, last = max(part.start, start), min(part.stop, stop)
        if first < last:
            yield part, first, last
