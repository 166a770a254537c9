"""Opening a text file whatever packs it, and saying what a file is that holds no text.

The first bytes decide, not the name: people rename files, and programs give them names of their own.

| first bytes of | what is done |
|---|---|
| gzip, bzip2, xz, zstd | unpacked while it is read |
| another archive, a workbook, a binary table, PDF, UTF-16, a web page, ... | refused, with what it is and the way out |
| any of these again, after unpacking | refused too |
| anything else | read as it is |
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Protocol, cast

import pyarrow as pa

from hpc.errors import InputError

ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zstd")
"""Of packed files; what comes before them says what is inside."""
_XZ_MEMORY_BYTES = 1 << 28
"""More than `xz -9` needs; a file can ask for gigabytes."""
_READ_BYTES = 1 << 16
_START_BYTES = 512
_UNPACK = "Unpack it"
_TAR_AT = 257
_FOREIGN = {
    b"7z\xbc\xaf\x27\x1c": ("a 7-Zip archive", _UNPACK),
    b"Rar!\x1a\x07": ("a RAR archive", _UNPACK),
    b"\x1f\x9d": ("packed by compress (.Z)", _UNPACK),
    b"\x04\x22\x4d\x18": ("packed by lz4", _UNPACK),
    b"\xff\x06\0\0sNaPpY": ("packed by snappy", _UNPACK),
    b"\x89LZO": ("packed by lzop", _UNPACK),
    b"LZIP\x01": ("packed by lzip", _UNPACK),
    b"\x5d\0\0": ("packed by lzma, the old form of xz", _UNPACK),
    b"PK\x05\x06": ("an empty zip archive", "Take the file itself"),
    b"ARROW1": ("an Arrow (Feather) table", "Write it as Parquet or CSV"),
    b"ORC\n": ("an ORC table", "Write it as Parquet or CSV"),
    b"SQLite format 3": ("an SQLite database", "Export the table as CSV"),
    b"\x93NUMPY": ("a NumPy array", "Write it as CSV"),
    b"{\\rtf": ("a document of a word processor", "Save it as plain text"),
    b"\xff\xfe\0\0": ("text in UTF-32", "Save it as UTF-8"),
    b"\0\0\xfe\xff": ("text in UTF-32", "Save it as UTF-8"),
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV"),
    b"PAR1": ("a Parquet table", "Do not pack it, and let its name end in .parquet"),
    b"\x89HDF": ("an HDF5 file", "Export what is in it as CSV or FASTA"),
    b"%PDF": ("a PDF document", "Take the file that it was made from"),
    b"\xff\xfe": ("text in UTF-16", "Save it as UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "Save it as UTF-8"),
    b"<!doctype": ("a web page", "Download the file itself"),
    b"<html": ("a web page", "Download the file itself"),
    b"<?xml": ("an XML document", "Take the table or FASTA itself"),
    b"<error": ("the answer of a server that failed", "Download the file again"),
    b"<<<<<<<": ("a file with a conflict of Git", "Resolve it"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "Fetch it with: git lfs pull"),
}


def without_packing(path: Path) -> str:
    """The name in lower case without an ending of `ENDINGS`."""
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def packing_of(start: bytes) -> str:
    """What packs a file that begins so: gzip, bzip2, xz, zstd or nothing."""
    return next((kind for kind, is_of_kind, _ in _PACKED if is_of_kind(start)), "")


def open_text(path: Path) -> tuple[io.BufferedIOBase, str]:
    """The bytes of a file, unpacked as they are read, and what packs it (`packing_of`).

    Raises `InputError` for a file of another kind, `OSError` as `open` does. Damaged data are met while reading,
    with the errors of the library that unpacks.
    """
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    _refuse_foreign(start, path, "is")
    kind = packing_of(start)
    if not kind:
        return io.BufferedReader(io.FileIO(path), 1 << 17), ""
    return next(unpack for name, _, unpack in _PACKED if name == kind)(path), kind


def refuse_packed_again(file: io.BufferedIOBase, path: Path, kind: str) -> None:
    """Raise `InputError` where what is unpacked is packed once more, or no text; nothing is read of the file."""
    start = cast(_Peeks, file).peek(_START_BYTES)[:_START_BYTES]
    if again := packing_of(start):
        raise InputError(f"{path}:1: is packed twice, by {kind} and {again}. Unpack it once.")
    _refuse_foreign(start, path, f"is packed by {kind}, and holds")


class _Peeks(Protocol):
    def peek(self, size: int) -> bytes: ...


def _refuse_foreign(start: bytes, path: Path, what: str) -> None:
    if start[_TAR_AT:].startswith(b"ustar"):
        raise InputError(f"{path}:1: {what} a tar archive. {_UNPACK}.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").lower()
    found = [magic for magic in _FOREIGN if start.startswith(magic) or (magic[:1] in b"<{v" and text.startswith(magic))]
    if found:
        kind, fix = _FOREIGN[max(found, key=len)]
        raise InputError(f"{path}:1: {what} {kind}. {fix}.")


_Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


class _Unpacked(io.RawIOBase):
    """One packed stream after another, a bounded piece at a time."""

    def __init__(self, file: IO[bytes], new: Callable[[], _Decompressor]) -> None:
        self._file, self._new, self._decompressor = file, new, new()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data or self._file.read(_READ_BYTES)
                while data and not data.strip(b"\0"):  # padding, as gzip and xz allow it
                    data = self._file.read(_READ_BYTES)
                data = data.lstrip(b"\0")
                if not data:
                    return 0
                self._decompressor = self._new()
            elif self._decompressor.needs_input:
                data = self._file.read(_READ_BYTES)
                if not data:
                    raise EOFError("it ends in the middle")
            out = self._decompressor.decompress(data, len(buffer))
            if out:
                buffer[: len(out)] = out
                return len(out)

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_bzip2(start: bytes) -> bool:
    return start.startswith(b"BZh") and start[4:10] in (b"1AY&SY", b"\x17rE8P\x90")  # a block, or the end of none


_PACKED: tuple[tuple[str, Callable[[bytes], bool], Callable[[Path], io.BufferedIOBase]], ...] = (
    ("gzip", lambda start: start.startswith(b"\x1f\x8b"), gzip.GzipFile),
    ("bzip2", _is_bzip2, lambda path: _unpacked(path, bz2.BZ2Decompressor)),
    ("xz", lambda start: start.startswith(b"\xfd7zXZ\0"), lambda path: _unpacked(path, _xz)),
    (
        "zstd",
        lambda start: start.startswith(b"\x28\xb5\x2f\xfd") or start[1:4] == b"\x2a\x4d\x18",
        lambda path: io.BufferedReader(pa.CompressedInputStream(str(path), "zstd")),
    ),
)


def _unpacked(path: Path, new: Callable[[], _Decompressor]) -> io.BufferedIOBase:
    return io.BufferedReader(_Unpacked(path.open("rb"), new))


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
