"""How far each rank is, left in small files that anyone may read while the job runs.

Convention: `total` is the whole job's, `done` is this rank's contribution to it. What all ranks do together
(an optimiser step) is therefore reported by one rank only, and what they share out (work units) by each for
itself.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StrictInt, StrictStr
from pydantic.dataclasses import dataclass as checked_dataclass

from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError

_MOST_BYTES = 2**20
MIN_INTERVAL_S = 0.5


@dataclass(frozen=True)
class ProgressRecord:
    """One kind of progress of one rank."""

    rank: int
    kind: str
    done: int
    total: int
    unit: str
    rate: float
    """Units a second since this rank's first report of this kind, by its monotonic clock."""
    figures: dict[str, float | None]
    updated: float
    """Wall time of the report; for display only."""


@dataclass(frozen=True)
class ProgressSummary:
    """One kind of progress over all ranks."""

    kind: str
    done: int
    total: int
    unit: str
    eta_s: float | None
    """Seconds left at the present rate; None while the rate is not known."""
    num_ranks: int
    figures: dict[str, float | None]
    """Those of the lowest rank that reports any; of one whose name ends in `_share` the mean of all ranks."""
    rate: float = 0.0
    """Units a second, of all ranks together."""


_Count = Annotated[StrictInt, Field(ge=0, le=2**63)]
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@checked_dataclass(frozen=True, config=_STRICT)
class _Kind:
    done: _Count
    total: _Count
    unit: StrictStr
    rate: float
    figures: dict[str, float | None]
    updated: float


@checked_dataclass(frozen=True, config=_STRICT)
class _File:
    rank: _Count
    kinds: dict[str, _Kind]


class ProgressFile:
    """Writer of one rank's `rank_00003.json`; replaced as a whole, so that a reader never sees a part.

    It is no record of results: it is not made durable, and a start of the rank begins it anew.
    """

    def __init__(self, folder: Path, rank: int, clock: Callable[[], float] = time.monotonic) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"rank_{rank:05d}.json"
        self._path.unlink(missing_ok=True)
        self._rank = rank
        self._clock = clock
        self._kinds: dict[str, dict[str, Any]] = {}
        self._first: dict[str, tuple[float, int]] = {}
        self._written = -math.inf

    @property
    def first_report(self) -> float | None:
        """When work was first reported, by the clock; None: not yet."""
        return min((at for at, _ in self._first.values()), default=None)

    def update(self, kind: str, done: int, total: int, unit: str, *, force: bool = False, **figures: float) -> None:
        """Report that `done` of `total` units are done; written at most every 0.5 s, unless `force` or
        finished.

        `figures` are shown beside the bar; NaN and infinities become null.
        """
        now = self._clock()
        started, first_done = self._first.setdefault(kind, (now, done))
        self._kinds[kind] = {
            "done": int(done),
            "total": int(total),
            "unit": unit,
            "rate": (done - first_done) / (now - started) if now > started else 0.0,
            "figures": {name: _finite(value) for name, value in figures.items()},
            "updated": time.time(),
        }
        if force or done >= total or now - self._written >= MIN_INTERVAL_S:
            self._write()
            self._written = now

    def _write(self) -> None:
        partial = self._path.with_suffix(".tmp")
        partial.write_text(json.dumps({"rank": self._rank, "kinds": self._kinds}, allow_nan=False))
        os.replace(partial, self._path)  # noqa: PTH105 - one call, no second Path object in a training step


def read_progress(folder: Path) -> list[ProgressRecord]:
    """All records in `folder`, by rank; what is missing or is not as it was written is left out."""
    records: list[ProgressRecord] = []
    for path in sorted(folder.glob("rank_*.json")):
        try:
            content = validated(_File, read_json(path, _MOST_BYTES), str(path), CorruptError)
        except (OSError, BadFileError, CorruptError):
            continue
        records += [
            ProgressRecord(rank=content.rank, kind=kind, **vars(values)) for kind, values in content.kinds.items()
        ]
    return records


def summarise(records: Iterable[ProgressRecord]) -> list[ProgressSummary]:
    """Add the ranks up, one summary a kind, in the order in which the kinds were first seen.

    A kind of which there is nothing to do is left out: nobody wants to read 0 of 0.
    """
    kinds: dict[str, list[ProgressRecord]] = {}
    for record in records:
        kinds.setdefault(record.kind, []).append(record)
    return [found for kind, group in kinds.items() if (found := _summary(kind, group)).total]


def add_up(summaries: Iterable[ProgressSummary]) -> list[ProgressSummary]:
    """The same of several jobs that share work: one summary a kind, with the longest of their times left."""
    kinds: dict[str, list[ProgressSummary]] = {}
    for item in summaries:
        kinds.setdefault(item.kind, []).append(item)
    return [
        ProgressSummary(
            kind,
            sum(item.done for item in group),
            sum(item.total for item in group),
            group[0].unit,
            max((item.eta_s for item in group if item.eta_s is not None), default=None),
            sum(item.num_ranks for item in group),
            group[0].figures,
            sum(item.rate for item in group),
        )
        for kind, group in kinds.items()
    ]


def _summary(kind: str, records: list[ProgressRecord]) -> ProgressSummary:
    total = max(record.total for record in records)
    done = min(sum(record.done for record in records), total)
    rate = sum(record.rate for record in records)
    figures = dict(next((r.figures for r in sorted(records, key=lambda r: r.rank) if r.figures), {}))
    for name in figures:
        if name.endswith("_share"):
            known = [value for r in records if (value := r.figures.get(name)) is not None]
            figures[name] = sum(known) / len(known) if known else None
    eta_s = (total - done) / rate if rate > 0 else math.inf
    return ProgressSummary(kind, done, total, records[0].unit, _finite(eta_s), len(records), figures, rate)


def _finite(value: float) -> float | None:
    value = float(value)
    return value if math.isfinite(value) else None
