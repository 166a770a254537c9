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
    """As `read_small`, of a file that is open already, and closed here; `path` is its name."""
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
    """A descriptor for reading a regular file; raises as `read_small` does, and never waits.

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


def parse_json(data: bytes | str, source: str) -> Any:
    """The value in a JSON text, see `read_json`; `source` names where it comes from."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise BadFileError(f"{source}: not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise BadFileError(f"{source}:{error.lineno}: not valid JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise BadFileError(f"{source}: nested too deeply, more than {MOST_DEPTH} times") from None
    except _RepeatedKeyError as error:
        lines = _lines_of_key(text, error.key)
        raise BadFileError(
            f"{source}:{lines[-1]}: the key {error.key!r} comes twice (lines {_joined(lines)})"
        ) from None
    except ValueError as error:  # a number of thousands of digits, or none
        raise BadFileError(f"{source}: not valid JSON: {error}") from None
    if _is_deeper(value, MOST_DEPTH):
        raise BadFileError(f"{source}: nested too deeply, more than {MOST_DEPTH} times")
    return value


class _RepeatedKeyError(ValueError):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _RepeatedKeyError(key)
            seen.add(key)
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _lines_of_key(text: str, key: str) -> list[int]:
    """The lines on which an object begins the key; other objects may have it too, so these are places to look."""
    name = json.dumps(key, ensure_ascii=False), json.dumps(key)
    lines = [number for number, line in enumerate(text.splitlines(), 1) for _ in range(max(map(line.count, name)))]
    return lines or [1]


def _joined(lines: list[int]) -> str:
    return " and ".join(map(str, lines[:8]))


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
