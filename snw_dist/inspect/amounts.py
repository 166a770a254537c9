"""Numbers of parameters and of operations, and texts in few letters."""

from __future__ import annotations

from hpc.amounts import short
from hpc.shown import printable


def amounts(parameters: int | None, flops: int) -> str:
    """What a block holds and computes; `parameters` None: they are counted on the other side. Empty for neither."""
    held = ["same weights"] if parameters is None else [f"{short(parameters)} parameters"] if parameters else []
    return ", ".join([*held, *([short(flops, "FLOP")] if flops else [])])


def short_text(text: str, longest: int = 72) -> str:
    """What is longer is cut in the middle, because names differ at both ends. What cannot be seen becomes its code."""
    shown = printable(text).replace("\n", " ").replace("\t", " ")
    kept = longest - len("...")
    return shown if len(shown) <= longest else f"{shown[: kept - kept // 2]}...{shown[len(shown) - kept // 2 :]}"
