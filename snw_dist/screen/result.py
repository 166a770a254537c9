"""The result of a screen: hits as sharded Parquet, a CSV file for each receptor, and `result.json`, the last one.

Where ligands have the lists there are no CSV files: a library has too many of them.

A folder without `result.json` is no result. It names every other file with its size and SHA-256, says what became of
every record, and has the same bytes whoever did the work.
"""

from __future__ import annotations

import functools
import io
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hpc.amounts import count_of
from hpc.disk.files import atomic_write_bytes, file_digest, sweep_partial
from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.errors import CorruptError, InputError
from snw_dist.scoring.table.finish import write_text
from snw_dist.screen.controls import controls_of, lines_of
from snw_dist.screen.false_hits import CutoffUnits, said_of
from snw_dist.screen.hits import Evidence, Hits, Sides, hits_of
from snw_dist.screen.library import other
from snw_dist.screen.making import Making
from snw_dist.screen.plan_file import RESULT, WORK
from snw_dist.screen.recall import said_of as recall_lines
from snw_dist.screen.rows import table_of
from snw_dist.screen.sample import SampleUnits, measured

FORMAT_VERSION = 2
HITS, LISTS, REJECTS = "hits", "csv", "rejects.csv"
REPORT = "report.html"
"""A page for people, made of the result; its figures are in the folder of this name without the ending."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_ROWS = 1 << 16
"""Of a row group."""


class ShardUnits:
    """The files of a group of lists as units of work (`snw_dist.screen.work.Units`)."""

    kind, unit = "result", "lists"

    def __init__(self, making: Making, cutoffs: CutoffUnits, evidence: Evidence) -> None:
        self._of, self._cutoffs, self._evidence = making, cutoffs, evidence

    def __len__(self) -> int:
        return len(self._of.scoring.grid.groups)

    def size(self, number: int) -> int:
        """Lists."""
        return len(self._of.scoring.grid.groups[number])

    def has(self, number: int, verify: bool) -> bool:
        """Whether the files of a group are there; with `verify` every byte of them is looked at."""
        try:
            record = self.record(number)
            files = {self._of.to / name: entry for name, entry in record["files"].items()}
            return all(
                path.stat().st_size == entry["bytes"] and (not verify or file_digest(path) == entry["sha256"])
                for path, entry in files.items()
            )
        except (OSError, BadFileError):
            return False

    def record(self, number: int) -> dict[str, Any]:
        """What was written of a group; raises `OSError` or `BadFileError` where nothing was."""
        return read_sealed(self._record(number))

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Write the files of a group, and then that they are there."""
        of, schema = self._of, self._of.ranking.schema
        buffer, files, rows, hits = pa.BufferOutputStream(), dict[str, Any](), 0, 0
        with pq.ParquetWriter(buffer, schema, write_page_checksum=True) as writer:
            for found in self._hits(number):
                checkpoint()
                table = table_of(found, of.sides, of.ranking)
                writer.write_table(table, row_group_size=_ROWS)
                for name, part in _lists(found, table, of.sides) if of.sides.by == "receptor" else ():
                    files |= _written(of.to, name, _csv(schema, part))
                rows, hits = rows + len(table), hits + len(found.pairs.rank)
        files |= _written(of.to, f"{HITS}/part-{number:05d}.parquet", memoryview(buffer.getvalue()))
        write_sealed(self._record(number), {"files": files, "rows": rows, "hits": hits})

    def _hits(self, number: int) -> Iterator[Hits]:
        of, ranked, owners = self._of, self._of.lists(number), self._of.scoring.grid.groups[number]
        least = self._cutoffs.least(owners, of.plan.content.threshold)
        if not of.ranking.second:
            _refuse_cut_off(of, ranked.ligand.shape[1], ranked.counts(least))
        return hits_of(owners, ranked, least, of.sides.by, self._evidence)

    def _record(self, number: int) -> Path:
        return self._of.scoring.folder / f"shard_{number:06d}.json"


def finish(making: Making, shards: ShardUnits, cutoffs: CutoffUnits, samples: SampleUnits | None = None) -> None:
    """Write `result.json` once all shards are there; then what they were made from goes. samples: of a second stage."""
    to, plan = making.to, making.plan
    records = [shards.record(number) for number in range(len(shards))]
    files = functools.reduce(lambda one, other: one | other["files"], records, dict[str, Any]())
    if (to / REJECTS).exists():
        files |= {REJECTS: {"bytes": (to / REJECTS).stat().st_size, "sha256": file_digest(to / REJECTS)}}
    bundle, second = making.towers.scorer.bundle, making.ranking
    content = {
        "format_version": FORMAT_VERSION,
        "screen": asdict(plan.content),
        "bundle": {"name": bundle.says.name, "member": making.towers.member.name, "sha256": bundle.sha256},
        "rerank": {"name": second.scorer.bundle.says.name, "sha256": plan.content.rerank} if second.second else None,
        "records": plan.accounting,
        "pairs": len(making.sides.ligands) * len(making.sides.receptors),
        "hits": sum(record["hits"] for record in records),
        "rows": sum(record["rows"] for record in records),
        "columns": making.ranking.schema.names,
        "recall": None if samples is None else measured(making, cutoffs, samples),
        "controls": controls_of(second.scorer.bundle),
        "false_hits": cutoffs.said(),
        "ties": f"equal scores: the shorter {other(plan.content.by)} first, then by its letters",
        "device": making.scoring.device.type,
        "versions": {"snw_dist": plan.content.version, "torch": torch.__version__},
        "files": files,
    }
    write_sealed(to / RESULT, content)
    for folder in (to, to / HITS, to / LISTS):  # a task that is still at a file here sees that all is finished
        sweep_partial(folder)
    shutil.rmtree(making.scoring.folder, ignore_errors=True)


def is_finished(to: Path) -> bool:
    """Whether the folder of a screen has its result."""
    return (to / RESULT).exists()


def spoilt_file(to: Path) -> Path | None:
    """The first file of a finished result that is not as it was written; None where all are. Reads every byte."""
    try:
        files: dict[str, Any] = read_sealed(to / RESULT)["files"]
    except (OSError, BadFileError):
        return to / RESULT
    for name, facts in files.items():
        path = to / name
        if not path.is_file() or path.stat().st_size != facts["bytes"] or file_digest(path) != facts["sha256"]:
            return path
    return None


def summary(to: Path) -> str:
    """What was found, in some lines; raises `CorruptError` where the result cannot be read."""
    try:
        content = read_sealed(to / RESULT)
    except (OSError, BadFileError) as error:
        raise CorruptError(f"{to / RESULT}: cannot be read ({error}). Start the same command again.") from None
    lines = [*lines_of(content["controls"]), *(said_of(content["false_hits"]) if content["false_hits"] else ())]
    lines += recall_lines(content["recall"]) if content["recall"] else ()
    csv = f"{LISTS}/*.csv, " if content["screen"]["by"] == "receptor" else ""
    return "".join(f"{line}\n" for line in lines) + (
        f"{count_of(content['pairs'], 'pair')}, {count_of(content['hits'], 'hit')} in "
        f"{count_of(content['rows'], 'row')} (one for each pair of ids)\n"
        f"Written to {to}: {HITS}/*.parquet, {csv}{RESULT}"
    )


def clear_result(to: Path) -> None:
    """Remove what an earlier screen has left in its folder; its result is the first to go."""
    (to / RESULT).unlink(missing_ok=True)
    (to / REJECTS).unlink(missing_ok=True)
    (to / REPORT).unlink(missing_ok=True)
    for folder in (to / HITS, to / LISTS, to / WORK, (to / REPORT).with_suffix("")):
        shutil.rmtree(folder, ignore_errors=True)


def _refuse_cut_off(of: Making, width: int, counts: Iterable[int]) -> None:
    """Without --top every pair that reaches the threshold is to be written, so a list must not end before it."""
    given = of.plan.content
    if (
        given.top is None
        and given.false_rate is None
        and width < len(of.sides.ranked)
        and width in [int(count) for count in counts]
    ):
        raise InputError(
            f"more than {width:,} ligands of a receptor reach --threshold {given.threshold}. Give --top N "
            "for the best N of each receptor, or a higher threshold."
        )


def _lists(found: Hits, table: pa.Table, sides: Sides) -> Iterator[tuple[str, pa.Table]]:
    """The CSV file of each id of the receptors, and its rows."""
    ids = sides.ligands.num_ids(found.pairs.ligand)
    sizes = np.bincount(found.pairs.receptor - found.owners.start, weights=ids, minlength=len(found.owners))
    start = 0
    for owner, size in zip(found.owners, sizes.astype(np.int64).tolist(), strict=True):
        _, names = sides.receptors.names(np.array([owner]))
        for place, name in zip(sides.receptors.places(owner), names, strict=True):
            # an id may be anything, so a name has only what is harmless of it; the number tells names apart
            yield f"{LISTS}/{place + 1:06d}_{_NO_NAME.sub('_', name)[:60]}.csv", table.slice(start, size)
            start += size


def _csv(schema: pa.Schema, table: pa.Table) -> bytes:
    text = io.BytesIO()
    write_text(text, ",", schema, [table])
    return text.getvalue()


def _written(to: Path, name: str, data: bytes | memoryview) -> dict[str, Any]:
    path = to / name
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(path, data)
    return {name: {"bytes": len(data), "sha256": file_digest(path)}}
