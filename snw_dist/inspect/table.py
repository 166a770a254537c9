"""The tables of a network: its blocks as in the picture, and all its layers as torchinfo lists them."""

from __future__ import annotations

import torchinfo
from rich.table import Table
from torch import nn

from snw_dist.inspect.diagram import Diagram

_DEPTH = 6


def blocks_table(diagram: Diagram) -> Table:
    """A row for each box: where it works, what leaves it, its parameters and operations, exactly."""
    table = Table(box=None, header_style="")
    for name in ("block", "of", "what leaves it", "parameters", "FLOP"):
        table.add_column(name, justify="right" if name in ("parameters", "FLOP") else "left")
    for box in diagram.boxes:
        times = f" × {len(box.paths)}" if len(box.paths) > 1 else ""
        same = box.shared and box.phase == "receptor"
        count = "same weights" if same else f"{sum(box.parameters.values()):,}"
        shape = ", ".join(" × ".join(sizes) for sizes in box.shapes)
        table.add_row(f"{box.words.title}{times}", box.phase, shape, count, f"{box.flops:,}")
    table.add_row("all", "", "", f"{diagram.num_parameters:,}", f"{diagram.flops:,}")
    return table


def layers_table(network: nn.Module) -> str:
    """All layers with their parameters. Without a pass: see the README for what torchinfo makes of one."""
    return str(torchinfo.summary(network, depth=_DEPTH, col_names=("num_params", "trainable"), verbose=0))
