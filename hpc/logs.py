"""Logs for people, one format on all ranks, and metrics for programs, one JSON object a line."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from hpc.files import atomic_write_bytes

log = logging.getLogger(__name__)
_MARK = "_hpc_logs_handler"


def setup_logging(rank: int, world_size: int, job_folder: Path, verbose: Iterable[str] = ("hpc",)) -> None:
    """Send this rank's log to stderr (rank 0 from INFO, the others from WARNING) and all of it to a file.

    The file is `job_folder/logs/rank_00003.log`; it is appended to, so that a restart keeps what went before.
    The packages in `verbose` are logged there from DEBUG, everything else from INFO. A second call replaces
    the first.
    """
    path = log_file(job_folder, rank)
    path.parent.mkdir(parents=True, exist_ok=True)
    width = max(2, len(str(world_size - 1)))
    formatter = logging.Formatter(
        f"%(asctime)s r{rank:0{width}d} %(levelname)-5s %(name)s: %(message)s", datefmt="%H:%M:%S"
    )
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.INFO if rank == 0 else logging.WARNING)
    file = logging.FileHandler(path, encoding="utf-8")
    root = logging.getLogger()
    _remove_own_handlers(root)
    for handler in (console, file):
        handler.setFormatter(formatter)
        setattr(handler, _MARK, True)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    for package in verbose:
        logging.getLogger(package).setLevel(logging.DEBUG)
    # submitit prints by itself as well as through the root: every line of it would be there twice.
    logging.getLogger("submitit").handlers.clear()


def log_file(job_folder: Path, rank: int) -> Path:
    """Where all of a rank's log goes."""
    return job_folder / "logs" / f"rank_{rank:05d}.log"


def _remove_own_handlers(root: logging.Logger) -> None:
    for handler in [h for h in root.handlers if hasattr(h, _MARK)]:
        root.removeHandler(handler)
        handler.close()


class JsonLines:
    """Append-only file of records, each one strict JSON object on a line of its own, written at once.

    Floats are written with the shortest digits that read back to the same bits. NaN and infinities, which
    JSON does not have, become null. There is one writer; a last line torn by a kill is dropped when the file
    is opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)
        _drop_torn_tail(path)

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record. A line that could not be written as a whole (full disk) is taken back."""
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
        return self._keep(lambda record: not record.get("step", -math.inf) > step)

    def forget(self, kind: str, step: int) -> int:
        """Forget the records of a `kind` at a step, because it is about to be written again; otherwise likewise."""
        return self._keep(lambda record: (record.get("kind"), record.get("step")) != (kind, step))

    def _keep(self, wanted: Callable[[Mapping[str, Any]], bool]) -> int:
        kept: list[bytes] = []
        total = 0
        for line, record in _lines(self.path):
            total += 1
            if wanted(record):
                kept.append(line)
        if len(kept) < total:
            self._file.close()
            atomic_write_bytes(self.path, b"".join(kept))
            self._file = self.path.open("ab", buffering=0)
        return total - len(kept)

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        self._file.close()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, also while it is being written; a torn last line is left out."""
    for _, record in _lines(path):
        yield record


def _lines(path: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError:
                record = None
            if isinstance(record, dict):
                yield line, record
            else:
                log.warning("%s:%d: not a JSON object, left out", path, number)


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
