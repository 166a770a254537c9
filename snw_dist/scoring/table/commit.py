"""Scored pieces of a table, kept beside the output until it is whole: a run that was killed goes on behind the last.

A piece has all of its rows, also those without a score, under the columns `row`, `line` and `reason`. It is one Parquet
file with checksums; what is damaged is scored again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hpc.disk.files import atomic_write_bytes, sweep_partial
from hpc.disk.folder import locked
from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.errors import CorruptError, InputError
from hpc.told import tell

_PLAN = "plan.json"


class Pieces:
    """The pieces of one run, by number from 0."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, number: int) -> bool:
        """Whether a piece is there and can be read to its end; one that cannot is removed."""
        if not self._path(number).exists():
            return False
        try:
            self.read(number)
        except CorruptError:
            tell(f"{self._path(number)}: damaged, its rows are scored again.")
            self._path(number).unlink()
            return False
        return True

    def commit(self, number: int, table: pa.Table) -> None:
        """Keep a piece, durably and as a whole."""
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, write_page_checksum=True)
        atomic_write_bytes(self._path(number), memoryview(buffer.getvalue()))

    def read(self, number: int) -> pa.Table:
        """A piece; raises `CorruptError` where it is damaged or gone."""
        try:
            with pq.ParquetFile(self._path(number), page_checksum_verification=True) as file:
                return file.read()
        except (pa.ArrowException, OSError) as error:
            raise CorruptError(f"{self._path(number)}: damaged ({error}). Start the command again.") from None

    def _path(self, number: int) -> Path:
        return self.folder / f"piece_{number:06d}.parquet"


@contextlib.contextmanager
def opened_pieces(folder: Path, plan: Mapping[str, Any]) -> Iterator[Pieces]:
    """The pieces in `folder`, where those of an earlier run with the same `plan` still are; removed when all went well.

    Raises `InputError` where another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except (BlockingIOError, FileNotFoundError):
            raise InputError(f"{folder}: another process is writing this output. Wait for it.") from None
        except OSError:  # a file system without locks
            pass
        _begin(folder, plan)
        yield Pieces(folder)
        shutil.rmtree(folder)


def _begin(folder: Path, plan: Mapping[str, Any]) -> None:
    """Remove what belongs to another plan; the plan is the last to be written, so half a start is none."""
    try:
        found: Mapping[str, Any] | None = read_sealed(folder / _PLAN)
    except (OSError, BadFileError):
        found = None
    if found == plan:
        sweep_partial(folder)
        return
    if found is not None:
        tell("An earlier run for this output had another input, bundle or options: begun anew.")
        (folder / _PLAN).unlink()
    for path in folder.iterdir():
        path.unlink()
    write_sealed(folder / _PLAN, plan)
