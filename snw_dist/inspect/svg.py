"""A scene as the text of an SVG file.

Colours are given twice: as attributes for a light page, which every program draws, and by a style for a dark one.
A page with a switch sets `data-theme` to `light` or `dark` on its root. Tints are of Okabe & Ito's colours, which stay
apart for colour-blind readers; no meaning rests on a colour alone.
"""

from __future__ import annotations

from html import escape

from snw_dist.inspect.scene import SIZES, SUBSCRIPT, Line, Rect, Scene, Text

_FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_LIGHT = {"page": "#ffffff", "strong": "#1a1a1a", "plain": "#333333", "quiet": "#5c5c5c", "line": "#4d4d4d"}
_DARK = {"page": "#16181c", "strong": "#f2f2f2", "plain": "#d9d9d9", "quiet": "#a8adb5", "line": "#b3b8c0"}
# look -> its edge, and what fills it on a light and on a dark page
_LOOKS = {
    "linear": ("#0072B2", "#e6f1f8", "#14293a"),
    "convolution": ("#56B4E9", "#ecf6fc", "#1b303c"),
    "attention": ("#E69F00", "#fdf4e3", "#3a2e14"),
    "pooling": ("#009E73", "#e4f4ef", "#10322a"),
    "compare": ("#CC79A7", "#f9eff4", "#38242f"),
    "end": ("#8a8a8a", "#ffffff", "#16181c"),
    "encoder": ("#8a8a8a", "#f3f3f3", "#23262b"),
    "frame": ("#a6a6a6", "#fafafa", "#1b1e22"),
}
_DASHES = {"encoder": "5 3", "frame": "2 3"}
_STRIPE = 4


def svg(scene: Scene) -> str:
    """The picture; equal scenes give equal text."""
    size = f'width="{_n(scene.width)}" height="{_n(scene.height)}" viewBox="0 0 {_n(scene.width)} {_n(scene.height)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="network" role="img" {size} font-family="{_FONT}">',
        f"<title>{escape(scene.title)}</title>",
        f"<style>{_style()}</style>",
        f'<rect class="page" width="100%" height="100%" fill="{_LIGHT["page"]}"/>',
        *(_rect(rect) for rect in scene.rects if rect.look == "frame"),
        *(_line(line) for line in scene.lines if not line.above),
        *(_halo(line) for line in scene.lines if line.above),
        *(_line(line) for line in scene.lines if line.above),
        *(_rect(rect) for rect in scene.rects if rect.look != "frame"),
        *(_text(text) for text in scene.texts),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style() -> str:
    """What is other on a dark page."""
    rules = {".page": ("fill", _DARK["page"]), ".line": ("stroke", _DARK["line"]), ".head": ("fill", _DARK["line"])}
    rules |= {".halo": ("stroke", _DARK["page"])}
    rules |= {f".{role}": ("fill", _DARK[role]) for role in SIZES}
    rules |= {f".{look}": ("fill", dark) for look, (_, _, dark) in _LOOKS.items()}
    by_system, by_switch = ":root:not([data-theme=light]) .network", ":root[data-theme=dark] .network"
    # The picture is the root itself where it stands alone.
    alone = ":root.network"

    def told(page: str) -> str:
        return " ".join(f"{page} {name}{{{key}:{value}}}" for name, (key, value) in rules.items())

    return f"@media (prefers-color-scheme: dark){{{told(by_system)} {told(alone)}}} {told(by_switch)}"


def _rect(rect: Rect) -> str:
    edge, fill, _ = _LOOKS[rect.look]
    place = f'x="{_n(rect.x)}" y="{_n(rect.y)}" height="{_n(rect.height)}"'
    radius = rect.height / 2 if rect.look == "end" else 5
    dashes = f' stroke-dasharray="{_DASHES[rect.look]}"' if rect.look in _DASHES else ""
    shape = (
        f'<rect class="{rect.look}" {place} width="{_n(rect.width)}" rx="{_n(radius)}" '
        f'fill="{fill}" stroke="{edge}"{dashes}/>'
    )
    plain = rect.look in ("end", "encoder", "frame")
    return shape if plain else f'{shape}\n<rect {place} width="{_STRIPE}" rx="2" fill="{edge}"/>'


def _halo(line: Line) -> str:
    """The gap in what a line crosses."""
    return f'<path class="halo" d="{_path(line)}" fill="none" stroke="{_LIGHT["page"]}" stroke-width="7"/>'


def _path(line: Line) -> str:
    return "M" + " L".join(f"{_n(x)} {_n(y)}" for x, y in line.points)


def _line(line: Line) -> str:
    points, path = line.points, _path(line)
    dashes = "" if line.arrow else ' stroke-dasharray="4 3"'
    drawn = f'<path class="line" d="{path}" fill="none" stroke="{_LIGHT["line"]}" stroke-width="1.2"{dashes}/>'
    return f"{drawn}\n{_head(points[-2], points[-1])}" if line.arrow else drawn


def _head(before: tuple[float, float], tip: tuple[float, float]) -> str:
    """The head of an arrow, whose last piece is level or upright."""
    (x0, y0), (x, y) = before, tip
    length = abs(x - x0) + abs(y - y0)
    dx, dy = (x - x0) / length, (y - y0) / length
    back, wide = (x - 7 * dx, y - 7 * dy), (3.5 * dy, 3.5 * dx)
    corners = [(x, y), (back[0] + wide[0], back[1] + wide[1]), (back[0] - wide[0], back[1] - wide[1])]
    return f'<path class="head" d="M{" L".join(f"{_n(a)} {_n(b)}" for a, b in corners)} Z" fill="{_LIGHT["line"]}"/>'


def _text(text: Text) -> str:
    weight = ' font-weight="bold"' if text.role == "strong" else ""
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    runs, lowered = [], False
    for piece, small in text.runs():
        shift = f' dy="{3 if small else -3}"' if small != lowered else ""
        size = f' font-size="{SUBSCRIPT}"' if small else ""
        runs.append(f"<tspan{shift}{size}>{escape(piece)}</tspan>" if shift or size else escape(piece))
        lowered = small
    return (
        f'<text class="{text.role}" x="{_n(text.x)}" y="{_n(text.y)}" font-size="{SIZES[text.role]}"{weight}{anchor} '
        f'fill="{_LIGHT[text.role]}">{"".join(runs)}</text>'
    )


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
