"""What is asked for on a command line: which pairs, by which sides, and where to; refused where it does not fit."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from hpc.disk.files import file_digest
from hpc.errors import InputError
from hpc.told import tell
from snw_dist.bundle.locate import refuse_inside
from snw_dist.data.files.rejects import shorten
from snw_dist.data.files.table import DELIMITERS_OF
from snw_dist.data.files.unpacked import without_packing
from snw_dist.scoring.columns import PREFIX, Column, columns_of
from snw_dist.scoring.percentile import Percentiles, percentiles_of
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.parquet import parquet_source
from snw_dist.scoring.table.part import Part, PartOfSource
from snw_dist.scoring.table.product import product_source
from snw_dist.scoring.table.run import Accounting, Output, predict_table
from snw_dist.scoring.table.scan import scan_source
from snw_dist.scoring.table.sides import Side, give, read_ids
from snw_dist.scoring.table.source import Source
from snw_dist.scoring.table.text import text_source

STREAM = "-"
_ENDINGS = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class Asked:
    """The options of the command, see `launch.predict`; files are (ligands, receptors), and so is every pair."""

    table: str | None = None
    """A file, or `-` for standard input."""
    files: tuple[Path | None, Path | None] = (None, None)
    """FASTA files."""
    given: tuple[str | None, str | None] = (None, None)
    """A sequence, or FILE:ID, for all rows."""
    columns: tuple[str | None, str | None] = (None, None)
    no_header: bool = False
    all_pairs: bool = False
    scan: str | None = None
    """Lengths of windows, separated by commas."""
    top: int | None = None
    members: bool = False
    percentile: bool | Path = False
    """Asked for; by windows of the proteins of a FASTA file, if one is given."""
    to: str = STREAM
    """A file, or `-` for standard output."""
    part: str | None = None
    """Which part of the table, and of how many: `3/8`."""
    bundle: str = ""
    """A folder, or what else `--bundle` may be."""


def check(asked: Asked) -> None:
    """Raise `InputError` for options that do not fit together, before anything is loaded."""
    for file, given, kind in zip(asked.files, asked.given, ("ligand", "receptor"), strict=True):
        if file is not None and given is not None:
            raise InputError(f"--{kind}s and --{kind}: give one of them.")
        if file is not None and not file.is_file():
            raise InputError(f"--{kind}s {file}: {_no_file(file)}.")
        if asked.table is None and file is None and given is None:
            raise InputError(
                "no pairs: give a table (- is standard input), or --all-pairs with --ligands FASTA and --receptors "
                "FASTA, or one pair with --ligand and --receptor."
            )
    if asked.scan is not None:
        _check_scan(asked)
    if asked.table is None and any(asked.files) and not (asked.all_pairs or asked.scan):
        raise InputError("FASTA files without a table: add --all-pairs to score every ligand with every receptor.")
    if asked.table is not None and (asked.all_pairs or all(asked.given)):
        raise InputError("a table has its own pairs: leave out --all-pairs, and one of --ligand and --receptor.")
    if isinstance(asked.percentile, Path) and not asked.percentile.is_file():
        raise InputError(f"--background {asked.percentile}: {_no_file(asked.percentile)}.")
    if asked.top is not None and asked.top < 1:
        raise InputError(f"--top {asked.top}: give a number from 1 on.")
    table = Path(asked.table) if asked.table not in (None, STREAM) else None
    if table is not None and not (table.is_file() or table.is_fifo()):
        raise InputError(f"{table}: {_no_file(table)}.")
    if asked.part is not None:
        _check_part(asked, table)
    if asked.to != STREAM:
        _check_target(asked)


def _check_part(asked: Asked, table: Path | None) -> None:
    Part.of(asked.part or "")
    if table is None or table.is_fifo() or asked.to == STREAM:
        raise InputError(f"--part {asked.part}: give a table that is a file, and the output with --to FILE.")
    if asked.top is not None:
        raise InputError(f"--part {asked.part}: --top needs the rows of all parts. Leave one of them out.")


def _check_scan(asked: Asked) -> None:
    lengths(asked.scan)
    if asked.table is not None or asked.all_pairs or asked.files[0] is None:
        raise InputError("--scan: give the proteins with --ligands FASTA, and no table and no --all-pairs.")


def lengths(text: str | None) -> list[int]:
    """The lengths of windows that `--scan` names, each once, short ones first; raises `InputError` for other texts."""
    found = [part.strip() for part in (text or "").split(",")]
    if not all(re.fullmatch(r"[1-9][0-9]{0,3}", part) for part in found):
        raise InputError(f"--scan {text}: give lengths of windows in residues, separated by commas, such as 8,9,10,11.")
    return sorted({int(part) for part in found})


def _no_file(path: Path) -> str:
    return "not a regular file" if path.exists() else "no such file"


def _check_target(asked: Asked) -> None:
    path = Path(asked.to) if asked.part is None else Part.of(asked.part).named(Path(asked.to))
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"--to {path}: let the name end in .csv, .tsv or .parquet, or give - for standard output.")
    if path.exists() and not path.is_file():
        raise InputError(f"--to {path}: not a regular file. Choose another name.")
    if asked.bundle:
        refuse_inside(asked.bundle, "--to", path)
    background = asked.percentile if isinstance(asked.percentile, Path) else None
    read = [file for file in (asked.table, *asked.files, background) if file is not None and file != STREAM]
    if path.exists() and any(path.samefile(file) for file in read):
        raise InputError(f"--to {path}: is an input. Choose another name.")


def predict(scorer: PairScorer, asked: Asked, stdin: IO[bytes], stdout: IO[bytes]) -> tuple[Accounting, Output]:
    """Do what is asked for; what became of the rows, and where they are."""
    check(asked)
    sides = _side(scorer, asked, 0, "ligand"), _side(scorer, asked, 1, "receptor")
    percentiles = percentiles_of(scorer, asked.percentile)
    columns = columns_of(scorer.bundle, asked.members, scorer.trust, percentiles)
    with _table_file(asked.table, stdin) as table:
        source, delimiter = _source(asked, sides, table)
        _refuse_our_names([field.name for field in source.fields], [column.name for column in columns])
        target = None if asked.to == STREAM else Path(os.path.realpath(asked.to))
        output = Output(target, None if target else stdout, delimiter)
        for note in (*source.notes, *sides[0].notes, *sides[1].notes):
            tell(note)
        if percentiles is not None:
            source.made_of["background"] = percentiles.background.sha256
        if asked.part is not None:
            return _predict_part(Part.of(asked.part), source, scorer, columns, output, percentiles)
        return predict_table(source, scorer, columns, output, asked.top, percentiles), output


def _predict_part(
    part: Part,
    source: Source,
    scorer: PairScorer,
    columns: Sequence[Column],
    output: Output,
    percentiles: Percentiles | None,
) -> tuple[Accounting, Output]:
    """The same for a part of the table, with an output of its own."""
    assert output.path is not None
    own = PartOfSource(source, part)
    to_part = output._replace(path=part.named(output.path), part=own)
    done = predict_table(own.source(), scorer, columns, to_part, None, percentiles)
    tell(own.sum_of_all(output.path))
    return done, to_part


def _side(scorer: PairScorer, asked: Asked, place: int, kind: Literal["ligand", "receptor"]) -> Side:
    side = Side(kind, scorer.rules, scorer.longest, asked.columns[place])
    file, given = asked.files[place], asked.given[place]
    if given is not None:
        give(side, given)
    elif file is not None and asked.table is not None:
        read_ids(side, file)
    return side


def _source(asked: Asked, sides: tuple[Side, Side], table: Path | None) -> tuple[Source, str]:
    """The pairs, and the delimiter that a stream of them gets."""
    made_of = {str(side.kind): ": ".join(side.given) for side in sides if side.given}
    made_of |= {f"{side.kind}s": file_digest(file) for side, file in zip(sides, asked.files, strict=True) if file}
    if asked.scan is not None:
        source, delimiter = scan_source(sides, asked.files, lengths(asked.scan), asked.top), ","
    elif table is None:
        source, delimiter = product_source(sides, asked.files, asked.top), ","
    elif table.name.lower().endswith(".parquet"):
        source, delimiter = parquet_source(table, sides), ","
    else:
        ending = Path(without_packing(table)).suffix
        if ending not in DELIMITERS_OF:
            raise InputError(f"{table}: let its name end in .csv, .tsv (packed: .csv.gz, ...) or .parquet.")
        source, delimiter = text_source(table, DELIMITERS_OF[ending], sides, asked.no_header)
    if table is not None:
        made_of["table"] = file_digest(table)
        made_of["no_header"] = str(asked.no_header)
        made_of["columns"] = str(asked.columns)
    source.made_of.update(made_of)
    return source, delimiter


@contextlib.contextmanager
def _table_file(table: str | None, stdin: IO[bytes]) -> Iterator[Path | None]:
    """The table as a file: it is read more than once, so standard input, or a named pipe, is put into one."""
    if table is None or (table != STREAM and not Path(table).is_fifo()):
        yield None if table is None else Path(table)
        return
    with contextlib.ExitStack() as stack:
        stream = stdin if table == STREAM else stack.enter_context(Path(table).open("rb"))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="predict-"))
        start = stream.read(4)
        name = "standard_input" if table == STREAM else "named_pipe"
        path = Path(folder) / f"{name}.{'parquet' if start == b'PAR1' else 'csv'}"
        with path.open("wb") as file:
            file.write(start)
            shutil.copyfileobj(stream, file)
        yield path


def _refuse_our_names(names: list[str], ours: list[str]) -> None:
    taken = [name for name in names if name in ours]
    if taken:
        raise InputError(
            f"the table has a column {shorten(taken[0])} already: rename it. Names with {PREFIX} are of the output."
        )
