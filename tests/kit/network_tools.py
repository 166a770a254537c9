"""The six networks as `snw_dist.inspect` sees them, each looked at once in a session."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from torch import nn

from snw_dist.config import ModelSection
from snw_dist.inspect.diagram import Diagram, diagram_of
from snw_dist.inspect.symbols import Batch, Symbols, two_batches
from snw_dist.inspect.trace import Trace, trace
from snw_dist.model.build import build_model

WIDTH = 24
LENGTHS = 16, 64


class Seen(NamedTuple):
    network: nn.Module
    batches: tuple[Batch, Batch]
    traces: tuple[Trace, Trace]
    diagram: Diagram


@cache
def seen_network(name: str, size: str = "base") -> Seen:
    network = build_model(ModelSection(name=name, size=size), WIDTH, seed=1)  # type: ignore[arg-type]
    batches = two_batches(*LENGTHS)
    one, other = (trace(network, *batch.sides(WIDTH)) for batch in batches)
    return Seen(network, batches, (one, other), diagram_of(network, one, other, Symbols(*batches)))
