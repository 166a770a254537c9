"""Numbers of parameters and of operations, in few digits, and texts in few letters."""

from __future__ import annotations

from hpc.shown import printable

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(number: float, unit: str = "") -> str:
    """Three digits and a letter for thousands and more: `230 M`, `1.94 GFLOP`."""
    for size, letter in _STEPS:
        if number >= 0.9995 * size:
            value = number / size
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {letter}{unit}"
    return f"{number:.0f} {unit}".rstrip()


def amounts(parameters: int | None, flops: int) -> str:
    """What a block holds and computes; `parameters` None: they are counted on the other side. Empty for neither."""
    held = ["same weights"] if parameters is None else [f"{short(parameters)} parameters"] if parameters else []
    return ", ".join([*held, *([short(flops, "FLOP")] if flops else [])])


def short_text(text: str, longest: int = 72) -> str:
    """What is longer is cut in the middle, because names differ at both ends. What cannot be seen becomes its code."""
    shown = printable(text).replace("\n", " ").replace("\t", " ")
    kept = longest - len("...")
    return shown if len(shown) <= longest else f"{shown[: kept - kept // 2]}...{shown[len(shown) - kept // 2 :]}"
