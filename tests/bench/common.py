"""What the benchmarks share: medians over rounds, a table, and one JSON object."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def parser(description: str) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options.add_argument(
        "--rounds", type=int, default=3, help="every variant is measured once a round; medians are shown"
    )
    return options


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def medians(rounds: int, variants: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Median of what each variant returns; they take turns, so that a drift of the machine meets all of them."""
    found: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds):
        for name, measure in variants.items():
            found[name].append(measure())
        say(f"round {number + 1} of {rounds}")
    return {name: statistics.median(values) for name, values in found.items()}


def say(text: str) -> None:
    """How far it is, where it does not mix with the results."""
    sys.stderr.write(text + "\n")


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console(width=150).print(table)


def finish(as_json: bool, keys: Mapping[str, Any]) -> None:
    """The named figures, at the end."""
    text = json.dumps(keys) if as_json else "\n".join(f"{name}: {value}" for name, value in keys.items())
    sys.stdout.write(text + "\n")
