"""Metrics for programs: one JSON object a line, appended as they come, and read back also when the file was damaged."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from hpc.disk.files import atomic_write_groups
from hpc.disk.reading import BadFileError, parse_json
from hpc.errors import CorruptError

log = logging.getLogger(__name__)
DAMAGED_SUFFIX = ".damaged"
_MOST_LINE = 2**20
"""Bytes of one line; a longer one is no record."""
_MOST_TOLD = 3
"""Damaged lines that are named one by one."""


class JsonLines:
    """Append-only file of records, each one strict JSON object on a line of its own, written at once.

    Floats are written with the shortest digits that read back to the same bits. NaN and infinities, which
    JSON does not have, become null. There is one writer. When the file is opened a last line torn by a kill is
    dropped, and damaged lines are set aside into `NAME.damaged`, with a warning: they stop nobody, and are not lost.
    Raises `CorruptError` where something that is no file has the name.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        _refuse_what_is_no_file(path)
        self._file = path.open("ab", buffering=0)
        _drop_torn_tail(path)
        self._set_damaged_aside()

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record. What could not be written as a whole (full disk) is taken back; raises `OSError`."""
        line = (json.dumps(_strict(record), allow_nan=False) + "\n").encode()
        size = os.fstat(self._file.fileno()).st_size
        try:
            if self._file.write(line) != len(line):
                raise OSError(errno.ENOSPC, "line not written as a whole", str(self.path))
        except OSError:
            os.ftruncate(self._file.fileno(), size)
            raise

    def truncate_after(self, step: int) -> int:
        """Forget the records whose `step` is greater than `step`, as a resumed run will write them again.

        Records without a step stay. Atomic: afterwards the file is the old or the new one. Returns how many
        went.
        """
        return self._keep(lambda record: record.get("step", -1) <= step)

    def forget(self, kind: str, step: int) -> int:
        """Forget the records of a `kind` at a step, because it is about to be written again; otherwise likewise."""
        return self._keep(lambda record: (record.get("kind"), record.get("step")) != (kind, step))

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set_damaged_aside(self) -> None:
        """First there, then not here: a kill in between leaves a damaged line twice, never nowhere."""
        aside = self.path.with_name(self.path.name + DAMAGED_SUFFIX)
        damaged = _Damaged(self.path, f"set aside in {aside.name}")
        for number, _, record in _lines(self.path):
            if record is None:
                damaged.at(number)
        damaged.told()
        if not damaged.count:
            return
        _refuse_what_is_no_file(aside)
        with aside.open("ab") as file:
            for _, line, record in _lines(self.path):
                if record is None:
                    file.write(line if line.endswith(b"\n") else line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._keep(lambda record: True)

    def _keep(self, wanted: Callable[[dict[str, Any]], bool]) -> int:
        """Write the file anew with the wanted records alone, and no damaged line; how many went."""

        def stays(record: dict[str, Any] | None) -> bool:
            return record is not None and wanted(record)

        num_gone = sum(not stays(record) for _, _, record in _lines(self.path))
        if num_gone:
            self._file.close()
            atomic_write_groups(self.path, ([line] for _, line, record in _lines(self.path) if stays(record)))
            self._file = self.path.open("ab", buffering=0)
        return num_gone


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, also while it is being written; a torn last line is left out.

    Damaged lines are left out too, with a warning. Raises `CorruptError` where something that is no file has the name.
    """
    _refuse_what_is_no_file(path)
    damaged = _Damaged(path, "left out")
    for number, _, record in _lines(path):
        if record is None:
            damaged.at(number)
        else:
            yield record
    damaged.told()


class _Damaged:
    """Says which lines are no records: the first ones by their number, and how many there are."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what, self.count = path, what, 0

    def at(self, number: int) -> None:
        self.count += 1
        if self.count <= _MOST_TOLD:
            log.warning("%s:%d: damaged, %s", self._path, number, self._what)

    def told(self) -> None:
        if self.count > _MOST_TOLD:
            log.warning("%s: %d damaged lines, %s", self._path, self.count, self._what)


def _lines(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    """Number and bytes of each whole line, and the record in it; None where it holds none.

    A line of more bytes than a record may have comes in parts.
    """
    with path.open("rb") as file:
        for number, line, is_whole in _split(file):
            yield number, line, _record(line, f"{path}:{number}") if is_whole else None


def _split(file: BinaryIO) -> Iterator[tuple[int, bytes, bool]]:
    number, whole = 1, True
    while part := file.readline(_MOST_LINE):
        ends = part.endswith(b"\n")
        if not ends and len(part) < _MOST_LINE:
            return  # torn, or not yet written to its end
        yield number, part, whole and ends
        number, whole = number + ends, ends


def _record(line: bytes, source: str) -> dict[str, Any] | None:
    try:
        record = parse_json(line, source)
    except BadFileError:
        return None
    return record if isinstance(record, dict) and ("step" not in record or _is_step(record["step"])) else None


def _is_step(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _refuse_what_is_no_file(path: Path) -> None:
    """A pipe would be waited for."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise CorruptError(f"{path}: not a regular file. Move it away")


def _drop_torn_tail(path: Path) -> None:
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = size
        while start > 0:
            begin = max(0, start - 65536)
            file.seek(begin)
            newline = file.read(start - begin).rfind(b"\n")
            if newline >= 0:
                start = begin + newline + 1
                break
            start = begin
        if start < size:
            file.truncate(start)


def _strict(value: Any) -> Any:
    """Plain data for JSON: numbers of numpy and torch become Python's, NaN and infinities become None."""
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    item: Callable[[], Any] | None = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return _strict(item())
