"""README.zh.md says what README.md says: the same sections, commands, tables, figures and links."""

from __future__ import annotations

import re

import pytest

from tests.kit.readmes import TOP, blocks, inline_code, read, without_blocks

CHINESE = "README.zh.md"


def headings(file: str) -> list[int]:
    """The rank of each heading, in their order."""
    return [len(marks) for marks in re.findall(r"^(#+) ", without_blocks(file), re.MULTILINE)]


def tables(file: str) -> list[list[str]]:
    """The rows of each table, its heading and the line below it included."""
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", without_blocks(file), re.MULTILINE)]


def figures(text: str) -> list[str]:
    """Numbers that are written in digits, in an order that does not depend on that of the words."""
    return sorted(re.findall(r"(?<![A-Za-z0-9.])\.?\d+(?:[,.]\d+)*(?:e-?\d+)?", text))


def links(file: str) -> list[str]:
    return sorted(set(re.findall(r"\]\(([^)]+)\)", read(file))) - {TOP, CHINESE})


def without_comments(file: str) -> list[str]:
    lines = [line for block in blocks("bash", file) for line in block.splitlines()]
    return [line.partition("#")[0].rstrip() for line in lines]


def test_the_sections_are_the_same() -> None:
    assert headings(CHINESE) == headings(TOP)


def test_the_commands_and_the_files_are_the_same() -> None:
    assert without_comments(CHINESE) == without_comments(TOP)
    assert blocks("json", CHINESE) == blocks("json", TOP)
    assert sorted(inline_code(CHINESE)) == sorted(inline_code(TOP))


def test_the_links_are_the_same() -> None:
    assert links(CHINESE) == links(TOP)


@pytest.mark.parametrize("number", range(len(tables(TOP))))
def test_the_tables_have_the_same_rows_and_figures(number: int) -> None:
    english, chinese = tables(TOP)[number], tables(CHINESE)[number]
    assert len(chinese) == len(english)
    for one, other in zip(english[2:], chinese[2:], strict=True):
        assert re.findall(r"`[^`]+`", one) == re.findall(r"`[^`]+`", other), other
        assert figures(one) == figures(other), other


def test_the_text_has_the_same_figures() -> None:
    assert figures(without_blocks(CHINESE)) == figures(without_blocks(TOP))
