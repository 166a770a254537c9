"""Texts, boxes and lines of an SVG file of ours, measured with a wide font: what fits in it fits in any usual one."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from matplotlib.font_manager import FontProperties, findfont, get_font

NAMESPACE = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Area:
    """`what` is in this part of a picture, in pixels."""

    what: str
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Area) -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)

    def holds(self, other: Area) -> bool:
        wide = self.left <= other.left and other.right <= self.right
        return wide and self.top <= other.top and other.bottom <= self.bottom


@cache
def width_of(text: str, size: float, bold: bool) -> float:
    """In DejaVu Sans, the widest of the fonts that a picture may be shown in."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")))
    font.set_size(size, 72)
    font.set_text(text)
    return float(font.get_width_height()[0]) / 64


def texts(svg: str) -> list[Area]:
    """What each text covers, from the top of its capitals to the end of its descenders."""
    found = []
    for text in ET.fromstring(svg).iter(f"{NAMESPACE}text"):
        size, bold = float(text.attrib["font-size"]), text.get("font-weight") == "bold"
        pieces = [(text.text or "", size)]
        for run in text:
            pieces += [(run.text or "", float(run.get("font-size", size))), (run.tail or "", size)]
        width = sum(width_of(piece, own, bold) for piece, own in pieces)
        x, y = float(text.attrib["x"]), float(text.attrib["y"])
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor", "start")]
        found.append(Area("".join(text.itertext()), left, y - 0.76 * size, left + width, y + 0.3 * size))
    return found


def boxes(svg: str) -> list[Area]:
    """Rectangles with a class, but for the page itself."""
    found = []
    for rect in ET.fromstring(svg).iter(f"{NAMESPACE}rect"):
        if rect.get("class") not in (None, "page"):
            x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            found.append(Area(rect.attrib["class"], x, y, x + width, y + height))
    return found


def lines(svg: str) -> list[Area]:
    """Each straight piece of each line."""
    found = []
    for path in ET.fromstring(svg).iter(f"{NAMESPACE}path"):
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.attrib["d"])]
        for (x, y), (to_x, to_y) in pairwise(zip(numbers[::2], numbers[1::2], strict=True)):
            found.append(Area("line", min(x, to_x), min(y, to_y), max(x, to_x), max(y, to_y)))
    return found
