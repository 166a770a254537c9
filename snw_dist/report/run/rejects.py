"""The list of rejected records, counted by reason."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from hpc.errors import CorruptError


class Reason(NamedTuple):
    """Why records of one file were rejected."""

    file: str
    reason: str
    records: int
    example: str
    """The first one: its line, its id and what was wrong."""


def reasons_of(path: Path) -> list[Reason]:
    """By file and reason, in the order in which they come; raises `CorruptError` where it is no such list."""
    found: dict[tuple[str, str], tuple[int, str]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                key = Path(row["file"]).name, row["reason"]
                count, example = found.get(key, (0, f"line {row['line']}: {row['id']} {row['value']}".strip()))
                found[key] = count + 1, example
    except FileNotFoundError:
        return []
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise CorruptError(f"{path}: damaged: {error}. Make it again: snw-dist prepare") from None
    return [Reason(*key, *values) for key, values in found.items()]
