"""From a source of pairs to an output: survey, score piece after piece, write. Every row is accounted for."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hpc.errors import CorruptError
from hpc.told import long_work, tell
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.scoring.columns import VERSION, Column, Scored
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.commit import Pieces, opened_pieces
from snw_dist.scoring.table.finish import best_of_each, output_schema, write_output, write_rejected, write_text
from snw_dist.scoring.table.progress import shown_progress
from snw_dist.scoring.table.sides import Pair, Refused
from snw_dist.scoring.table.source import Chunk, Source
from snw_dist.version import __version__


class Output(NamedTuple):
    """Where the rows go."""

    path: Path | None
    """The table of the scored rows; None is a stream."""
    stream: IO[bytes] | None = None
    delimiter: str = ","
    """Of the stream."""

    @property
    def rejected(self) -> Path | None:
        """The table of the rows without a score, beside the output."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.rejected.csv")


class Accounting(NamedTuple):
    """What has become of the rows: `rows` is the sum of the others."""

    rows: int
    written: int
    rejected: int
    passed_over: int
    """Not among the best."""


def predict_table(
    source: Source, scorer: PairScorer, columns: Sequence[Column], output: Output, top: int | None = None
) -> Accounting:
    """Score all rows of a source; with `top` only the best rows of each receptor are written.

    A run that was killed goes on behind the last piece that it has kept. Raises `CorruptError` where a piece was
    damaged after it was kept.
    """
    rows = _preflight(source, scorer)
    plan = {
        "made_of": source.made_of,
        "columns": [column.name for column in columns],
        "fields": [f"{field.name}: {field.type}" for field in source.fields],
        "top": top,
        "bundle": scorer.bundle.sha256,
        "device": scorer.device.type,
        "versions": [__version__, VERSION],
    }
    with _work_folder(output) as work, opened_pieces(work, plan) as pieces:
        count = _score(source, scorer, columns, pieces, rows, top)
        return _finish(source, columns, pieces, count, output, rows, top)


def _work_folder(output: Output) -> contextlib.AbstractContextManager[Path]:
    if output.path is not None:
        return contextlib.nullcontext(output.path.with_name(f".{output.path.name}.predict"))
    return _beside_nothing()


@contextlib.contextmanager
def _beside_nothing() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="predict-") as folder:
        yield Path(folder) / "pieces"


def _preflight(source: Source, scorer: PairScorer) -> int:
    """Read the source once and say what is to be done; the number of rows."""
    rows, pairs, residues = 0, 0, 0
    seen: set[int] = set()
    with long_work("reading the table"):
        for chunk in source.chunks():
            rows += len(chunk.pairs)
            for pair in chunk.pairs:
                if isinstance(pair, Refused):
                    continue
                pairs += 1
                for sequence in pair:
                    if (number := hash(sequence)) not in seen:
                        seen.add(number)
                        residues += len(sequence)
    entry = scorer.bundle.says.rows
    size = residues * entry.width * torch_dtype(entry.dtype).itemsize
    tell(f"{pairs:,} pairs of {len(seen):,} distinct sequences, {size:,} bytes when embedded ({rows:,} rows)")
    return rows


def _score(
    source: Source, scorer: PairScorer, columns: Sequence[Column], pieces: Pieces, rows: int, top: int | None
) -> int:
    """Keep a piece for each part of the source that has none yet; how many there are."""
    count = done = scored = 0
    with shown_progress(rows) as progress:
        for chunk in source.chunks():
            done += len(chunk.pairs)
            if not pieces.has(count):
                pieces.commit(count, scored_chunk(chunk, scorer, columns, top))
                scored += len(chunk.pairs)
            count += 1
            progress(done, scored)
    if scored < done:
        tell(f"{done - scored:,} rows were scored by an earlier run.")
    return count


def scored_chunk(chunk: Chunk, scorer: PairScorer, columns: Sequence[Column], top: int | None) -> pa.Table:
    """All rows of a chunk with `row`, `line`, `reason`, the user's cells and ours; with `top` the best and the refused.

    Then there is also `receptor`, the sequence.
    """
    pairs = [pair if isinstance(pair, Pair) else None for pair in chunk.pairs]
    good = [pair for pair in pairs if pair is not None]
    ligands, receptors = [pair.ligand for pair in good], [pair.receptor for pair in good]
    place = iter(range(len(good)))
    places = pa.array([None if pair is None else next(place) for pair in pairs], pa.int64())
    facts: dict[str, Any] = {
        "row": pa.array(np.arange(chunk.first, chunk.first + len(pairs))),
        "line": pa.array(chunk.lines, pa.int64()),
        "reason": pa.array([pair.reason if isinstance(pair, Refused) else None for pair in chunk.pairs], pa.string()),
    }
    if top is not None:
        facts["receptor"] = pa.array([None if pair is None else pair.receptor for pair in pairs], pa.string())
    scored = Scored(ligands, receptors, scorer.score_clean(ligands, receptors)) if good else None
    for column in columns:
        values = pa.nulls(0, column.kind) if scored is None else pa.array(column.make(scored), column.kind)
        facts[column.name] = values.take(places)
    table = pa.table(facts)
    for name in chunk.cells.column_names:
        table = table.append_column(name, chunk.cells.column(name))
    if top is None:
        return table
    return pa.concat_tables([_rejected(table), best_of_each(_accepted(table), top)])


def _finish(
    source: Source,
    columns: Sequence[Column],
    pieces: Pieces,
    count: int,
    output: Output,
    rows: int,
    top: int | None,
) -> Accounting:
    schema = output_schema(source.fields, columns)
    names = [*(f"cell_{place}" for place in range(len(source.fields))), *(column.name for column in columns)]
    rejected = sum(len(_rejected(pieces.read(number))) for number in range(count))
    written = 0

    def accepted() -> Iterator[pa.Table]:
        nonlocal written
        tables: Iterator[pa.Table] = (_accepted(pieces.read(number)) for number in range(count))
        if top is not None and count:
            tables = iter([best_of_each(pa.concat_tables(tables), top)])
        for table in tables:
            written += len(table)
            yield table.select(names)

    refused = (_rejected(pieces.read(number)) for number in range(count))
    if output.path is None:
        assert output.stream is not None
        _say_rejected(refused)
        write_text(output.stream, output.delimiter, schema, accepted())
        output.stream.flush()
    else:
        assert output.rejected is not None
        if rejected:
            write_rejected(output.rejected, pieces.folder, refused)
        else:
            output.rejected.unlink(missing_ok=True)
        write_output(output.path, pieces.folder, schema, accepted())
    passed_over = rows - written - rejected
    if passed_over < 0 or (passed_over and top is None):
        raise CorruptError(f"{rows:,} rows were read, {written:,} written and {rejected:,} rejected.")
    return Accounting(rows, written, rejected, passed_over)


def _say_rejected(refused: Iterator[pa.Table]) -> None:
    for table in refused:
        for row, line, reason in zip(*(table.column(n).to_pylist() for n in ("row", "line", "reason")), strict=True):
            tell(f"rejected: row {row} (line {line}): {reason}")


def _accepted(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_null(table.column("reason")))


def _rejected(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_valid(table.column("reason")))
