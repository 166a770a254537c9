"""How long `tests/gpu` takes, and its longest tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.bench.common import say, seconds
from tests.bench.gpu.scale import Scale

ROOT = Path(__file__).parents[3]
DURATION = re.compile(r"^([\d.]+)s (call|setup|teardown) +(\S.*)$", re.MULTILINE)
OUTCOME = re.compile(r"(\d+) (passed|failed|skipped|errors?)")


def measure(scale: Scale, place: Path) -> dict[str, Any]:
    """Seconds, outcomes, and the ten longest tests, whatever the scale; nothing is kept in `place`."""
    text = ""

    def run() -> None:
        nonlocal text
        command = [sys.executable, "-m", "pytest", "tests/gpu", "-q", "--durations=10", "-p", "no:cacheprovider"]
        text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout

    took = seconds(run)
    say(text[-6000:])
    return {"seconds": round(took, 1), **read(text)}


def read(text: str) -> dict[str, Any]:
    """From pytest's own words: how many tests passed and so on, the longest, and those that failed."""
    last = text.strip().splitlines()[-1] if text.strip() else ""
    outcomes = {what.rstrip("s") if what.startswith("error") else what: int(n) for n, what in OUTCOME.findall(last)}
    longest = {f"{name} ({what})": float(s) for s, what, name in DURATION.findall(text)}
    failed = [line.split(" - ")[0].removeprefix("FAILED ") for line in text.splitlines() if line.startswith("FAILED ")]
    return {**outcomes, "longest": longest, "failures": failed}
