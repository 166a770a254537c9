"""The pictures of networks: no text on another, and those of the README as they would be drawn now."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, product
from pathlib import Path

import pytest
from torch import nn

from snw_dist.config import ModelSection
from snw_dist.inspect.amounts import amounts, short_text
from snw_dist.inspect.picture import Input, name_of, network_svg, picture
from snw_dist.inspect.words import words_of
from snw_dist.inspect.write import write_all
from tests.kit.model_tools import NAMES
from tests.kit.network_tools import WIDTH, seen_network
from tests.kit.readmes import ROOT
from tests.kit.svg_tools import Area, boxes, lines, texts

GIVEN = Input(WIDTH, ("ESM C", "an encoder with a long description, " * 9), True, 16, 64)
SIZES = [(name, size) for name in NAMES for size in ("light", "base")] + [("cross_attention", "large")]


def drawn(name: str, size: str) -> str:
    return picture(seen_network(name, size).diagram, f"{name}, {size}", GIVEN)


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_no_text_lies_on_another_or_on_a_line_or_leaves_its_box(name: str, size: str) -> None:
    svg = drawn(name, size)
    root, written = ET.fromstring(svg), texts(svg)
    page = Area("page", 0, 0, float(root.attrib["width"]), float(root.attrib["height"]))
    assert len(written) > 30
    for one, other in combinations(written, 2):
        assert not one.meets(other), f"{one} {other}"
    for text in written:
        assert page.holds(text), text
        for box in boxes(svg):
            assert not box.meets(text) or box.holds(text), f"{text} {box}"
        for line in lines(svg):
            assert not line.meets(text), f"{text} {line}"


@pytest.mark.parametrize("name", NAMES)
def test_boxes_stand_apart(name: str) -> None:
    svg = drawn(name, "base")
    solid = [box for box in boxes(svg) if box.what != "frame"]
    for one, other in combinations(solid, 2):
        assert not one.meets(other), f"{one} {other}"


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_read_at_the_width_of_a_readme(name: str) -> None:
    assert float(ET.fromstring(drawn(name, "base")).attrib["width"]) < 900


@pytest.mark.parametrize("name", NAMES)
def test_arrows_cross_only_where_they_must(name: str) -> None:
    """The decoder of changeformer takes three scales that both sides reach: no flat drawing of that is without."""
    svg = drawn(name, "base")
    level = [line for line in lines(svg) if line.right - line.left > 8 and line.top == line.bottom]
    upright = [line for line in lines(svg) if line.bottom - line.top > 8 and line.left == line.right]
    crossed = {
        (one.top, other.left)
        for one, other in product(level, upright)
        if one.left < other.left < one.right and other.top < one.top < other.bottom
    }
    assert len(crossed) == (2 if name == "changeformer" else 0)
    assert ('class="halo"' in svg) == (name == "changeformer")


def test_a_text_that_lies_on_another_is_seen() -> None:
    """What the test above rests on."""
    both = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'.format(
        "".join(f'<text x="{x}" y="20" font-size="11">Convolution</text>' for x in (10, 60))
    )
    one, other = texts(both)
    assert one.meets(other)
    assert 55 < one.right - one.left < 80


def test_the_pictures_of_the_readme_are_those_of_the_code(tmp_path: Path) -> None:
    """Else: python launch/inspect.py --all snw_dist/model/pictures"""
    write_all(tmp_path, "base", None, (16, 256))
    made = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text() for file in (ROOT / "snw_dist/model/pictures").iterdir()}
    assert set(made) == {f"{name}.svg" for name in NAMES}
    assert max(map(len, made.values())) < 30_000
    readme = (ROOT / "snw_dist/model/README.md").read_text(encoding="utf-8")
    assert all(f"(pictures/{name})" in readme for name in made)


def test_a_picture_is_dark_by_the_system_or_by_the_switch_of_its_page() -> None:
    svg = drawn("siamese", "light")
    assert "@media (prefers-color-scheme: dark){:root:not([data-theme=light]) .network .page" in svg
    assert ":root[data-theme=dark] .network .page" in svg
    assert "var(" not in svg
    assert svg.count("same weights") == 4  # between the sides, and in each box on the right


def test_own_settings_and_an_encoder_that_is_trained_are_said() -> None:
    section = ModelSection(name="siamese", size="light", d_model=16, num_heads=2)
    assert name_of(section) == "siamese, light with own settings"
    svg = network_svg(section, Input(12, ("ESM C",), False, 9, 20))
    assert "siamese, light with own settings" in svg
    assert "12 numbers a residue; trained too" in svg


def test_a_block_of_another_class_is_drawn_by_its_name() -> None:
    assert words_of(nn.Bilinear(2, 2, 2), whole=True).title == "Bilinear"


def test_parameters_and_operations() -> None:
    assert amounts(12_700, 459_000) == "12.7 k parameters, 459 kFLOP"
    assert amounts(None, 5) == "same weights, 5 FLOP"
    assert amounts(0, 0) == ""


def test_long_texts_are_cut_in_the_middle() -> None:
    assert short_text("a" * 72) == "a" * 72
    assert short_text("a" * 50 + "b" * 50) == "a" * 35 + "..." + "b" * 34
    assert short_text("two\nlines\x1b") == "two lines\\x1b"
