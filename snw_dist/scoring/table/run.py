"""From a source of pairs to an output: survey, score piece after piece, write. Every row is accounted for."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import pyarrow as pa

from hpc.amounts import count_of
from hpc.errors import CorruptError
from hpc.told import tell
from snw_dist.scoring.columns import VERSION, Column
from snw_dist.scoring.percentile import Percentiles
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.backgrounds import prepare_backgrounds, tell_of_ranking, wanted_by
from snw_dist.scoring.table.commit import Pieces, opened_pieces
from snw_dist.scoring.table.finish import (
    best_of_each,
    output_bytes,
    output_schema,
    write_output,
    write_rejected,
    write_text,
)
from snw_dist.scoring.table.part import PartOfSource, done_before
from snw_dist.scoring.table.piece import accepted, rejected, scored_chunk
from snw_dist.scoring.table.preflight import estimated, surveyed
from snw_dist.scoring.table.progress import shown_progress
from snw_dist.scoring.table.sides import Pair
from snw_dist.scoring.table.source import Chunk, Source
from snw_dist.scoring.table.survey import Survey
from snw_dist.version import __version__

_ROWS_WEIGHED = 256


class Output(NamedTuple):
    """Where the rows go."""

    path: Path | None
    """The table of the scored rows; None is a stream."""
    stream: IO[bytes] | None = None
    delimiter: str = ","
    """Of the stream."""
    part: PartOfSource | None = None
    """Of a table that is scored in parts, the one that goes to `path`."""

    @property
    def rejected(self) -> Path | None:
        """The table of the rows without a score, beside the output."""
        return None if self.path is None else self.path.with_name(f"{self.path.name}.rejects.csv")


class Accounting(NamedTuple):
    """What has become of the rows: `rows` is the sum of the others."""

    rows: int
    written: int
    rejected: int
    passed_over: int
    """Not among the best."""


class _Run(NamedTuple):
    """What is to be done."""

    source: Source
    scorer: PairScorer
    columns: Sequence[Column]
    output: Output
    top: int | None

    @property
    def schema(self) -> pa.Schema:
        return output_schema(self.source.fields, self.columns)

    def written(self, piece: pa.Table) -> pa.Table:
        """What is written of scored rows."""
        cells = [f"cell_{place}" for place in range(len(self.source.fields))]
        return piece.select([*cells, *(column.name for column in self.columns)])


def predict_table(
    source: Source,
    scorer: PairScorer,
    columns: Sequence[Column],
    output: Output,
    top: int | None = None,
    percentiles: Percentiles | None = None,
) -> Accounting:
    """Score all rows of a source; with `top` only the best rows of each receptor are written.

    `percentiles`: those that `columns` have, if any.

    A run that was killed goes on behind the last piece that it has kept. Raises `CorruptError` where a piece was
    damaged after it was kept.
    """
    run = _Run(source, scorer, columns, output, top)
    plan = {
        "made_of": source.made_of,
        "columns": [column.name for column in columns],
        "fields": [f"{field.name}: {field.type}" for field in source.fields],
        "top": top,
        "bundle": scorer.bundle.sha256,
        "device": scorer.device.type,
        "versions": [__version__, VERSION],
    }
    if output.part is not None and output.path is not None and (before := done_before(output.path, plan)) is not None:
        tell(f"{output.path} is done already")
        return Accounting(**before)
    survey = surveyed(source, scorer)
    if percentiles is None:
        tell_of_ranking(survey.receptors)
    else:
        prepare_backgrounds(wanted_by(source), percentiles)
    with _work_folder(output) as work, opened_pieces(work, plan) as pieces:
        count = _score(run, pieces, survey)
        done = _finish(run, pieces, count, survey.rows)
        if output.part is not None and output.path is not None and output.rejected is not None:
            output.part.note_done(output.path, output.rejected, plan, done._asdict())
        return done


def _work_folder(output: Output) -> contextlib.AbstractContextManager[Path]:
    if output.path is not None:
        return contextlib.nullcontext(output.path.with_name(f".{output.path.name}.predict"))
    return _beside_nothing()


@contextlib.contextmanager
def _beside_nothing() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="predict-") as folder:
        yield Path(folder) / "pieces"


def _score(run: _Run, pieces: Pieces, survey: Survey) -> int:
    """Keep a piece for each part of the source that has none yet; how many there are."""
    count = done = scored = 0
    chunks = run.source.chunks()
    first = [*itertools.islice(chunks, 1)]
    if first and not pieces.has(0):
        _estimate(run, survey, first[0])
    with shown_progress(survey.rows) as progress:
        for chunk in itertools.chain(first, chunks):
            done += len(chunk.pairs)
            if not pieces.has(count):
                pieces.commit(count, scored_chunk(chunk, run.scorer, run.columns, run.top, run.source.best))
                scored += len(chunk.pairs)
            count += 1
            progress(done, scored)
    if scored < done:
        tell(f"an earlier run has scored {count_of(done - scored, 'row')}.")
    return count


def _estimate(run: _Run, survey: Survey, chunk: Chunk) -> None:
    """Say what is ahead, from the first rows."""
    good = [place for place, pair in enumerate(chunk.pairs) if isinstance(pair, Pair)]

    def bytes_written() -> int:
        some = chunk.take(good[:_ROWS_WEIGHED])
        table = run.written(scored_chunk(some, run.scorer, run.columns, None))
        rows = survey.pairs if run.top is None else min(survey.pairs, run.top * survey.receptors)
        return output_bytes(run.output.path, run.schema, table) * rows // len(some.pairs)

    estimated(survey, [pair for pair in chunk.pairs if isinstance(pair, Pair)], run.scorer, bytes_written)


def _finish(run: _Run, pieces: Pieces, count: int, rows: int) -> Accounting:
    output = run.output
    num_rejected = sum(len(rejected(pieces.read(number))) for number in range(count))
    written = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal written
        for table in _in_order(run, (accepted(pieces.read(number)) for number in range(count)), count):
            written += len(table)
            yield run.written(table)

    refused = (rejected(pieces.read(number)) for number in range(count))
    if output.path is None:
        assert output.stream is not None
        _say_rejected(refused)
        write_text(output.stream, output.delimiter, run.schema, tables())
        output.stream.flush()
    else:
        assert output.rejected is not None
        if num_rejected:
            write_rejected(output.rejected, pieces.folder, run.source.file, refused)
        else:
            output.rejected.unlink(missing_ok=True)
        write_output(output.path, pieces.folder, run.schema, tables())
    passed_over = rows - written - num_rejected
    if passed_over < 0 or (passed_over and run.top is None):
        raise CorruptError(f"{rows:,} rows were read, {written:,} written and {num_rejected:,} rejected.")
    return Accounting(rows, written, num_rejected, passed_over)


def _in_order(run: _Run, tables: Iterator[pa.Table], count: int) -> Iterator[pa.Table]:
    """The rows to be written, in the order in which they are; pieces of a scan are in another one."""
    if run.top is not None and count:
        return iter([best_of_each(tables, run.top, run.source.best)])
    if run.source.best == "ligand" and count:
        return iter([pa.concat_tables(tables).sort_by("row")])
    return tables


def _say_rejected(refused: Iterator[pa.Table]) -> None:
    for table in refused:
        for row, line, reason in zip(*(table.column(n).to_pylist() for n in ("row", "line", "reason")), strict=True):
            tell(f"rejected: row {row} (line {line}): {reason}")
