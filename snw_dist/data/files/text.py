"""Text files read line by line with bounded memory, plain or packed (see `unpacked`).

What cannot be a table of lines (too long a line, a broken or absurdly compressed archive, another encoding)
is an `InputError` with file and line; what a line means is the caller's business.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Generator
from pathlib import Path

import pyarrow as pa

from hpc.errors import InputError
from snw_dist.data.files.inputs import MAX_TOTAL_BYTES
from snw_dist.data.files.unpacked import open_text, refuse_packed_again

MAX_LINE_BYTES = 1 << 24
"""16 MiB: some 400 times the longest known protein."""
MAX_RATIO = 200
"""Sequences and tables compress 2 to 30 times; a decompression bomb 1,000 times."""
RATIO_FREE_BYTES = 1 << 24
"""The ratio is not looked at below 16 MiB of text, which does no harm."""


def read_lines(
    path: Path,
    *,
    max_line_bytes: int = MAX_LINE_BYTES,
    max_total_bytes: int = MAX_TOTAL_BYTES,
    max_ratio: float = MAX_RATIO,
) -> Generator[str]:
    """Yield the lines of a UTF-8 file, unpacked where it is packed, without their LF or CRLF and without a BOM.

    At most one line is held in memory. Raises `InputError` with file:line for a line or a total over the limits
    (bytes), a ratio of unpacking over its limit, truncated or corrupt packed data, a file that holds no text, text that
    is not UTF-8, and lines that end with CR only.
    """
    total, number, packed = 0, 0, ""
    try:
        size_bytes = max(path.stat().st_size, 1)
        file, packed = open_text(path)
        with file:
            if packed:
                refuse_packed_again(file, path, packed)
            while raw := file.readline(max_line_bytes + 1):
                number += 1
                total += len(raw)
                if len(raw) > max_line_bytes:
                    raise InputError(f"{path}:{number}: the line is longer than {max_line_bytes:,} bytes. Break it.")
                if total > max_total_bytes:
                    raise InputError(f"{path}:{number}: more than {max_total_bytes:,} bytes of text. Split the file.")
                if packed and total > RATIO_FREE_BYTES and total > max_ratio * size_bytes:
                    raise InputError(
                        f"{path}:{number}: unpacks to more than {max_ratio:g} times its size. "
                        "If it is meant to, unpack it first."
                    )
                yield _decode(raw, path, number)
    except (EOFError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path}:{number + 1}: cannot be read: {error.strerror}.") from None
        raise InputError(
            f"{path}:{number + 1}: the {packed} data are truncated or corrupt ({error}). Copy the file again."
        ) from None


def _decode(raw: bytes, path: Path, number: int) -> str:
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    raw = raw.rstrip(b"\r\n")
    if b"\r" in raw:
        raise InputError(f"{path}:{number}: lines end with CR only. Convert the file to LF line ends.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}:{number}: byte {raw[error.start]:#04x} at column {error.start + 1} is not UTF-8. "
            "Save the file as UTF-8."
        ) from None
