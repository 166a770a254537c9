"""What is drawn of a network: boxes and the arrows between them, made of what was seen while it ran. No coordinates.

Blocks that follow each other and are alike become one box with a count. A block that works on both sides is a box on
each, marked as one and the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from snw_dist.inspect.origins import Source
from snw_dist.inspect.symbols import Symbols
from snw_dist.inspect.trace import Call, Phase, Shape, Trace, blocks
from snw_dist.inspect.words import Words, words_of


@dataclass(frozen=True)
class Box:
    """One block, or several that are alike."""

    paths: tuple[str, ...]
    """Names of its blocks in the network; none for what the network itself does."""
    phase: Phase
    frame: str
    words: Words
    shapes: tuple[tuple[str, ...], ...]
    """What leaves it: the sizes of each tensor, see `Symbols`."""
    parameters: dict[str, int]
    """Names of its parameters -> how many numbers."""
    flops: int
    sources: frozenset[Source]
    """Boxes by their number, and sides, from which an arrow comes."""
    shared: bool = False
    """The very same weights work on the other side too."""


@dataclass(frozen=True)
class Diagram:
    """All boxes of a network, in the order in which they work; the last compares or is where the score comes from."""

    boxes: tuple[Box, ...]
    score: tuple[frozenset[Source], tuple[str, ...]]
    """The boxes that it comes from, and its sizes."""
    attention: tuple[frozenset[Source], tuple[str, ...]] | None
    """Likewise the map of where ligand residues look, of networks that have it."""
    num_parameters: int
    flops: int

    def owned(self) -> list[Box]:
        """Each box once: of two that are shared the one of the ligand."""
        return [box for box in self.boxes if not (box.shared and box.phase == "receptor")]


def diagram_of(network: nn.Module, one: Trace, other: Trace, symbols: Symbols) -> Diagram:
    """`one`, `other`: the network on two batches, see `Symbols`; operations are those of `one`."""
    boxes = [_box(network, call, twin, symbols) for call, twin in zip(one.calls, other.calls, strict=True)]
    boxes, numbers = _together(boxes)
    boxes = [replace(box, shared=_is_shared(box, boxes)) for box in boxes]

    def output(name: str) -> tuple[frozenset[Source], tuple[str, ...]]:
        shape, sources = one.outputs[name]
        return _renumbered(sources, numbers), symbols.named(shape, other.outputs[name][0])

    score = output("score")
    own = {name: parameter.numel() for name, parameter in network.named_parameters(recurse=False)}
    if own or "distance" in one.outputs:
        rest = one.flops - sum(call.flops for call in one.calls)
        boxes.append(Box((), "pairs", "", _comparison(own), (output("distance")[1],), own, rest, score[0]))
        score = frozenset([len(boxes) - 1]), score[1]
    attention = output("attention") if "attention" in one.outputs else None
    count = sum(parameter.numel() for parameter in network.parameters())
    return Diagram(tuple(boxes), score, attention, count, one.flops)


def _comparison(own: dict[str, int]) -> Words:
    """What a network does by itself with unit vectors: their distance from each other, or from a vector that it has."""
    return Words("Distance", f"from the learned {' and '.join(own)}" if own else "of the two unit vectors", "compare")


def _box(network: nn.Module, call: Call, twin: Call, symbols: Symbols) -> Box:
    module = blocks(network)[call.path]
    inside = dict(module.named_modules(prefix=call.path))
    parameters = {
        f"{name}.{own}": parameter.numel()
        for name in inside
        if name in call.modules
        for own, parameter in inside[name].named_parameters(recurse=False)
    }
    shapes = _named(call.outputs, twin.outputs, symbols)
    words = words_of(module, call.path in call.modules)
    return Box((call.path,), call.phase, call.frame, words, shapes, parameters, call.flops, call.sources)


def _named(one: Sequence[Shape], other: Sequence[Shape], symbols: Symbols) -> tuple[tuple[str, ...], ...]:
    return tuple(symbols.named(a, b) for a, b in zip(one, other, strict=True))


def _together(boxes: list[Box]) -> tuple[list[Box], dict[Source, Source]]:
    """Boxes that are alike and follow each other as one; and the new number of each."""
    merged: list[Box] = []
    numbers: dict[Source, Source] = {}
    for number, box in enumerate(boxes):
        last, own = merged[-1] if merged else None, len(merged) - 1
        sources = _renumbered(box.sources, numbers)
        if last is not None and _alike(last, box) and sources - {own} <= last.sources:
            merged[-1] = replace(
                last,
                paths=(*last.paths, *box.paths),
                parameters=last.parameters | box.parameters,
                flops=last.flops + box.flops,
            )
        else:
            merged.append(replace(box, sources=sources))
        numbers[number] = len(merged) - 1
    return merged, numbers


def _alike(one: Box, other: Box) -> bool:
    """Members of one list, on the same side, with the same words and shapes."""

    def said(box: Box) -> tuple[object, ...]:
        return box.paths[0].rpartition(".")[0], box.phase, box.words, box.shapes

    return said(one) == said(other) and one.paths[-1] != other.paths[0]


def _is_shared(box: Box, boxes: Sequence[Box]) -> bool:
    """Two boxes with a parameter in common have all of them in common, see the tests."""
    return any(box.phase != other.phase and box.parameters.keys() & other.parameters.keys() for other in boxes)


def _renumbered(sources: frozenset[Source], numbers: dict[Source, Source]) -> frozenset[Source]:
    return frozenset(numbers.get(source, source) for source in sources)
