"""One small batch through a real network: which part ran when, on what, how much it computed, and what fed it.

Parts are found by forward hooks. A *block* is what the picture draws as one box: the outermost modules that are no
mere frame around others. A *call* is one time that a block works. A block may also work through some of its modules
alone (a receptor's keys and values are made before its block of cross attention runs): that is a call of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from hpc.machine.operations import OperationCounter, counted
from snw_dist.inspect.origins import NOWHERE, Origins, Source, tensors_in
from snw_dist.model.complex import ComplexEncoder
from snw_dist.model.pair import PairModel, PairNetwork, Parts, Side
from snw_dist.model.tower import ResidueEncoder, Tower

Phase = Literal["ligand", "receptor", "pairs"]
"""What a network is asked for, one after another, see `PairModel`."""
Shape = tuple[int, ...]
FRAMES = (PairNetwork, Tower, ResidueEncoder, ComplexEncoder, nn.ModuleList)
"""Modules that only hold others: these are drawn, not the frame. Anything else is one block with all that is in it."""


@dataclass
class Call:
    """One time that a block works."""

    path: str
    """Name of the block in its network."""
    phase: Phase
    frame: str
    """Name of the outermost frame that was at work around it; empty where there was none."""
    modules: set[str] = field(default_factory=set)
    """Names of all modules that ran in it."""
    inputs: list[Shape] = field(default_factory=list)
    outputs: list[Shape] = field(default_factory=list)
    """Of tensors of real numbers; masks are left out."""
    sources: frozenset[Source] = NOWHERE
    """Calls, or sides, that made what went in."""
    flops: int = 0


@dataclass(frozen=True)
class Trace:
    """What was seen of a network."""

    calls: list[Call]
    outputs: dict[str, tuple[Shape, frozenset[Source]]]
    """Fields of `PairOutput` that are there: shape, and what made it."""
    flops: int
    """Of everything; what no block did is done by the network itself."""


def trace(network: nn.Module, ligand: Side, receptor: Side) -> Trace:
    """Run a `PairModel` on a small batch, as it is used (no dropout, no gradient), and watch.

    Operations are those of `counted`.
    """
    watch, model = _Watch(network), cast(PairModel, network)
    training = network.training
    network.eval()
    with torch.no_grad(), counted() as counter, watch.hooked(counter), watch.origins:
        ligands = watch.side("ligand", model.ligands, ligand)
        receptors = watch.side("receptor", model.receptors, receptor)
        watch.phase = "pairs"
        found = model.pairs(ligands, ligand.pair_index, receptors, receptor.pair_index)
    network.train(training)
    there = {name: value for name, value in found._asdict().items() if value is not None}
    outputs = {name: (tuple(value.shape), watch.origins.of(value)) for name, value in there.items()}
    return Trace(watch.calls, outputs, counter.total)


def blocks(network: nn.Module, name: str = "") -> dict[str, nn.Module]:
    """The blocks of a network by their names."""
    found: dict[str, nn.Module] = {}
    for child, module in network.named_children():
        path = f"{name}.{child}".lstrip(".")
        found |= blocks(module, path) if isinstance(module, FRAMES) else {path: module}
    return found


class _Watch:
    """The hooks, and what they have seen."""

    def __init__(self, network: nn.Module) -> None:
        self.network, self.origins = network, Origins()
        self.phase: Phase = "ligand"
        self.calls: list[Call] = []
        self._frames: list[str] = []
        self._depth = self._before = 0

    def side(self, phase: Phase, run: Any, side: Side) -> Parts:
        """All that is computed of one side alone."""
        self.phase = phase
        self.origins.put(side.states, frozenset([phase]))
        parts: Parts = run(side)
        for number, call in enumerate(self.calls):
            if call.phase == phase and call.path not in call.modules:  # by its modules alone: what it leaves is here
                call.outputs = [shape for part in parts if number in self.origins.of(part) for shape in _shapes(part)]
        return parts

    @contextlib.contextmanager
    def hooked(self, counter: OperationCounter) -> Iterator[None]:
        """With hooks on every frame, every block and every module in a block."""
        handles: list[RemovableHandle] = []
        boxes = blocks(self.network)
        for path, box in boxes.items():
            for name, module in box.named_modules(prefix=path):
                handles += self._watch_module(path, name, module, counter)
        for name, module in self.network.named_modules():
            if isinstance(module, FRAMES):
                handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._frames.append(name)))
                handles.append(module.register_forward_hook(lambda *_: self._left()))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _left(self) -> None:
        self._frames.pop()

    def _watch_module(
        self, path: str, name: str, module: nn.Module, counter: OperationCounter
    ) -> list[RemovableHandle]:
        def before(_: nn.Module, args: Any, kwargs: Any) -> None:
            if self._depth == 0:
                self._before = counter.total
                self._open(path, name == path, (args, kwargs))
            self._depth += 1
            self.calls[-1].modules.add(name)

        def after(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self._depth -= 1
            if self._depth == 0:
                self.calls[-1].flops += counter.total - self._before
                self.calls[-1].outputs = _shapes(output)
                self.origins.put(output, frozenset([len(self.calls) - 1]))

        return [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def _open(self, path: str, whole: bool, inputs: Any) -> None:
        """A new call, or one that goes on by another of its modules."""
        last = self.calls[-1] if self.calls else None
        goes_on = last is not None and not whole and (last.path, last.phase) == (path, self.phase)
        if not goes_on:
            self.calls.append(Call(path, self.phase, next(iter(self._frames), "")))
        call, number = self.calls[-1], len(self.calls) - 1
        call.inputs += _shapes(inputs)
        call.sources |= self.origins.of(inputs) - {number}


def _shapes(nested: Any) -> list[Shape]:
    return [tuple(tensor.shape) for tensor in tensors_in(nested) if tensor.is_floating_point()]
