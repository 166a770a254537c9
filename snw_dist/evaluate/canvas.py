"""What all pictures share: figures without a display, colours, plain axes, PNG bytes.

Everything goes through `matplotlib.figure.Figure`, so no display, no global state and no figure is left open.
Colours are Okabe & Ito's, which stay apart for colour-blind readers.
"""

from __future__ import annotations

import io
import textwrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "#6E6E6E"
_DPI = 150


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


def literal(text: str) -> str:
    """Names come from the user's tables: a dollar sign in them starts no formula."""
    return text.replace("$", r"\$")


def png(figure: Figure, title: str, encoder: str) -> bytes:
    """The finished figure under its title and the encoder that the figures rest on."""
    wrapped = textwrap.fill(f"encoder: {encoder}", width=int(figure.get_figwidth() * 12))
    figure.suptitle(literal(f"{title}\n{wrapped}"), fontsize=11)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=0.1, metadata={"Software": None})
    return buffer.getvalue()
