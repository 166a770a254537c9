"""What all pictures share: figures without a display, colours, plain axes, names from outside, PNG and PDF bytes.

Everything goes through `matplotlib.figure.Figure`, so no display and no figure is left open. Colours are Okabe & Ito's,
which stay apart for colour-blind readers.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from snw_dist.data.summary import too_few

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#6E6E6E"
_DPI, _MOST_PIXELS = 150, 5e7
"""Many splits make a large picture: it gets coarser, so that it takes some 200 MB of memory at most."""
_LONGEST_NAME = 40
_PATH = re.compile(r"(?<![^\s,(])(?:~|\.{1,2})?/.*|(?<![^\s,(])[^\s,(]+/[^\s,]+(?:/.*|\.(?:pth|pt|safetensors)\b)")
"""The path in what is said of an encoder, to the end of the text; `organisation/model` of a hub is none."""


@contextlib.contextmanager
def own_style() -> Iterator[None]:
    """Pictures are made and saved in here: alike whatever the user's matplotlibrc says, and no name is a formula."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"pdf.fonttype": 42, "text.parse_math": False})  # 42: text stays text in an editor
        yield


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches, and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def plain(axes: Axes, horizontal: str, vertical: str) -> None:
    """Name the axes; a light grid, and no frame above and on the right."""
    axes.set(xlabel=horizontal, ylabel=vertical)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def literal(text: str, longest: int = _LONGEST_NAME) -> str:
    """A name from the user's tables as it can be drawn.

    A character that the font lacks becomes its number, such as \\u4e2d: an empty box would be the same for all. What is
    longer than `longest` is cut in the middle, because names differ at both ends.
    """
    drawn = "".join(c if c.isprintable() and ord(c) in _glyphs() else c.encode("unicode_escape").decode() for c in text)
    if len(drawn) <= longest:
        return drawn
    kept = longest - len("...")
    return f"{drawn[: kept - kept // 2]}...{drawn[len(drawn) - kept // 2 :]}"


def about(provenance: Mapping[str, Any]) -> str:
    """What a picture is of: run, network and encoder, as far as they are known, without folders."""
    encoder = _PATH.sub(lambda path: PurePath(path[0]).name, provenance["encoder"])
    parts = [(key, provenance.get(key)) for key in ("run", "network")]
    known = [f"{key} {literal(str(value))}" for key, value in parts if value is not None]
    return "\n".join([*([", ".join(known)] if known else []), f"encoder: {literal(encoder, 80)}"])


def headed(split: str, num_pairs: int, num_positive: int) -> str:
    """The title of a panel: the split, and how much it rests on."""
    few = ": too few" if too_few(num_pairs, num_positive) else ""
    return f"{literal(split)}\n{num_pairs:,} pairs, {num_positive:,} positive{few}"


def titled(figure: Figure, title: str, of: str) -> Figure:
    """The figure under its title, and under what it is of, see `about`."""
    width = int(figure.get_figwidth() * 12)
    lines = [title, *(textwrap.fill(line, width) for line in of.splitlines())]
    figure.suptitle("\n".join(lines), fontsize=11)
    return figure


def files(name: str, figure: Figure) -> dict[str, bytes]:
    """The figure as `name`.png and as `name`.pdf: equal bytes for equal figures, so without the time."""
    FigureCanvasAgg(figure)
    width, height = figure.get_size_inches()
    dpi = min(_DPI, math.sqrt(_MOST_PIXELS / (width * height)))
    metadata = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
    saved = {}
    for kind, own in metadata.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=dpi, bbox_inches="tight", pad_inches=0.1, metadata=own)
        saved[f"{name}.{kind}"] = buffer.getvalue()
    return saved


@functools.cache
def _glyphs() -> frozenset[int]:
    """The characters that the font of the pictures has: it comes with matplotlib, and others are not everywhere."""
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())
