"""Reading small files that may be damaged, or made to do damage: bounded in size and depth, and strict.

A name may belong to a pipe that never ends, a device, or a file of any size; JSON may nest until Python's stack ends,
hold a key twice (the first is then lost), or numbers that are none. Whoever reads a file of ours, or of a user, does it
through here, and says in its own words what that means.
"""

from __future__ import annotations

import json
import math
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from hpc.disk.json_mistakes import endless_number, place, position_of, repeated_key, why

MOST_BYTES = 64 * 2**20
"""What a small file has at most."""
MOST_DEPTH = 64
"""Lists and objects within each other."""
_PIECE = 2**20


class BadFileError(ValueError):
    """A file that is not what it should be; the message names it, and the line where one is to blame."""


def read_small(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a regular file of at most `most_bytes`.

    Raises `BadFileError` for anything that is no regular file or is larger, and `OSError` for what the system refuses,
    `FileNotFoundError` among it. Never waits: a pipe is not opened for reading.
    """
    return read_opened(open_regular(path), path, most_bytes)


def read_opened(descriptor: int, path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """As `read_small`, of a file that is open already, and closed here; `path` is its name. Raises `BadFileError`."""
    try:
        size = _refuse_irregular(descriptor, path).st_size
        if size > most_bytes:
            raise BadFileError(f"{path}: {size:,} bytes, more than the {most_bytes:,} that it may have")
        parts, left = [], most_bytes + 1  # it may grow while it is read
        while left and (part := os.read(descriptor, min(left, _PIECE))):  # a piece is allocated before it is read
            parts.append(part)
            left -= len(part)
    finally:
        os.close(descriptor)
    if not left:
        raise BadFileError(f"{path}: more than the {most_bytes:,} bytes that it may have")
    return b"".join(parts)


def open_regular(path: Path, follow_link: bool = True) -> int:
    """A descriptor for reading a regular file; raises `BadFileError` as `read_small` does, and never waits.

    Without `follow_link` a symbolic link is refused too.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    if not follow_link and path.is_symlink():
        raise BadFileError(f"{path}: a symbolic link")
    descriptor = os.open(path, flags if follow_link else flags | os.O_NOFOLLOW)
    try:
        _refuse_irregular(descriptor, path)
    except BadFileError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_irregular(descriptor: int, path: Path) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise BadFileError(f"{path}: not a regular file")
    return status


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """The value in a JSON file: UTF-8, no key twice, no NaN or infinity, at most `MOST_DEPTH` deep.

    Raises as `read_small` does, and `BadFileError` for what is not such JSON.
    """
    return parse_json(read_small(path, most_bytes), str(path))


def parse_json(data: bytes | str, source: str, finite: bool = True) -> Any:
    """The value in a JSON text, see `read_json`; `source` names where it comes from.

    Without `finite` a number may be NaN, infinite or too large to be another. Raises `BadFileError`.
    """
    text = data if isinstance(data, str) else _decoded(data, source)
    try:
        refusing: dict[str, Any] = {"parse_constant": _refuse_constant, "parse_float": _finite} if finite else {}
        value = json.loads(text, object_pairs_hook=_object, **refusing)
    except json.JSONDecodeError as error:
        raise _bad_json(source, text, error.pos, why(text, error)) from None
    except RecursionError:
        raise BadFileError(f"{source}: nested too deeply, more than {MOST_DEPTH} times") from None
    except _RepeatedKeyError:
        key, positions = repeated_key(text)
        lines = [place(text, position)[0] for position in positions]
        raise BadFileError(
            f"{source}:{lines[-1]}: the key {key!r:.200} comes twice (lines {' and '.join(map(str, lines))})"
        ) from None
    except _NoNumberError as error:
        raise _bad_json(source, text, position_of(text, error.text), str(error)) from None
    except ValueError:
        raise _bad_json(source, text, endless_number(text), "a number has too many digits") from None
    if _is_deeper(value, MOST_DEPTH):
        raise BadFileError(f"{source}: nested too deeply, more than {MOST_DEPTH} times")
    return value


def _decoded(data: bytes, source: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadFileError(f"{source}:1: text in UTF-16. Save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadFileError(f"{source}:{line}: not UTF-8 (byte {error.start}). Save it as UTF-8") from None


def _bad_json(source: str, text: str, position: int, reason: str) -> BadFileError:
    line, column = place(text, position)
    return BadFileError(f"{source}:{line}: not valid JSON: {reason} (column {column})")


class _RepeatedKeyError(ValueError):
    pass


class _NoNumberError(ValueError):
    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text} is {reason}")
        self.text = text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKeyError
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise _NoNumberError(text, "no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _NoNumberError(text, "too large a number")
    return value


def _is_deeper(value: Any, most: int) -> bool:
    """Without recursion: that is what a deep value would break."""
    level = [value]
    for _ in range(most + 1):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return False
    return True


def _inside(item: Any) -> list[Any]:
    if isinstance(item, dict):
        return [*item.values()]
    return item if isinstance(item, list) else []
