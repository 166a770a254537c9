"""A file of the sources holds one thing, and a function too: CONTRIBUTING.md says how long they may be.

The lines of a file are all of its lines. The lines of a function are those from `def` to its end: signature, docstring,
comments and functions inside it are counted, decorators are not. A function inside another is looked at by itself, too.
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(file for room in ("hpc", "snw_dist", "launch") for file in (ROOT / room).rglob("*.py"))
MOST_OF_A_FILE, MOST_OF_A_FUNCTION = 300, 45


def lengths(text: str) -> dict[str, int]:
    """Lines of every function, by its name and the line of its `def`."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    return {f"{node.name} (line {node.lineno})": node.end_lineno - node.lineno + 1 for node in functions}


def test_no_file_and_no_function_is_too_long() -> None:
    long = {}
    for file in SOURCES:
        name, text = str(file.relative_to(ROOT)), file.read_text(encoding="utf-8")
        found = {function: length for function, length in lengths(text).items() if length > MOST_OF_A_FUNCTION}
        lines = len(text.splitlines())
        if found or lines > MOST_OF_A_FILE:
            long[name] = (lines, found)
    assert not long, f"CONTRIBUTING.md: no file over {MOST_OF_A_FILE} lines, no function over {MOST_OF_A_FUNCTION}"


def test_the_rule_is_that_of_contributing() -> None:
    said = " ".join((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split())
    assert f"is over {MOST_OF_A_FILE} lines and no function over {MOST_OF_A_FUNCTION}." in said


def test_how_lines_are_counted() -> None:
    text = "@decorated\ndef outer(\n    a,\n):\n    '''Said.'''\n\n    async def inner():\n        pass\n\n\nx = 1\n"
    assert lengths(text) == {"outer (line 2)": 7, "inner (line 7)": 2}
