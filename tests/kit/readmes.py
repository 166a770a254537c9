"""The READMEs, and their sections, tables and blocks of code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOM_FOLDERS = ("hpc", "launch", "slurm", "snw_dist", "tests")
TOP = "README.md"
FILES = sorted(
    str(file.relative_to(ROOT))
    for files in (ROOT.glob("*.md"), *((ROOT / folder).rglob("*.md") for folder in ROOM_FOLDERS))
    for file in files
    if file.name != "CHANGELOG.md"  # says what was, with names that are no more
)


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def blocks(language: str, file: str) -> list[str]:
    """Code blocks of one language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", read(file), flags=re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


def section(heading: str, file: str = TOP) -> str:
    """The text of a file from a heading to the next one of the same rank or a higher one."""
    level = heading.split()[0]
    match = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)", read(file), re.MULTILINE | re.DOTALL
    )
    assert match, f"{file}: no section {heading!r}"
    return match[1]


def table(text: str, first: str) -> dict[str, list[str]]:
    """Rows of the tables whose first heading is `first`: from each name in the first cell to the other cells."""
    rows: dict[str, list[str]] = {}
    header = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = None
        elif header is None:
            header = cells
        elif header[0] == first and not set(cells[0]) <= {"-"}:
            for name in re.findall(r"`([^`]+)`", cells[0]) or [cells[0]]:
                assert name not in rows, f"{name} is there twice"
                rows[name] = cells[1:]
    return rows


def without_blocks(file: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", read(file), flags=re.MULTILINE | re.DOTALL)


def inline_code(file: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", without_blocks(file))
