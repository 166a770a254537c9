"""Opening a text file whatever packs it, and saying what a file is that holds no text.

The first bytes decide, not the name: people rename files, and programs give them names of their own.

| first bytes of | what is done |
|---|---|
| gzip, bzip2, xz, zstd | unpacked while it is read |
| zip, Excel, Parquet, HDF5, PDF, UTF-16, a web page, a Git LFS pointer | refused, with what it is and the way out |
| anything else | read as it is |
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow as pa

from hpc.errors import InputError

ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zstd")
"""Of packed files; what comes before them says what is inside."""
_XZ_MEMORY_BYTES = 1 << 28
"""More than `xz -9` needs; a file can ask for gigabytes."""
_READ_BYTES = 1 << 16
_FOREIGN = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "Save the sheet as CSV"),
    b"PAR1": ("a Parquet table", "Let its name end in .parquet, alone"),
    b"\x89HDF": ("an HDF5 file", "Export what is in it as CSV or FASTA"),
    b"%PDF": ("a PDF document", "Take the file that it was made from"),
    b"\xff\xfe": ("text in UTF-16", "Save it as UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "Save it as UTF-8"),
    b"<!doctype": ("a web page", "Download the file itself"),
    b"<html": ("a web page", "Download the file itself"),
    b"version https://git-lfs": ("a pointer of Git LFS, not the file", "Fetch it with: git lfs pull"),
}


def without_packing(path: Path) -> str:
    """The name in lower case without an ending of `ENDINGS`."""
    name = path.name.lower()
    return next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)


def open_text(path: Path) -> tuple[io.BufferedIOBase, str]:
    """The unpacked bytes of a file, and what packs it: gzip, bzip2, xz, zstd or nothing.

    Raises `InputError` for a file of another kind, `OSError` as `open` does. Damaged data are met while reading,
    with the errors of the library that unpacks.
    """
    with path.open("rb") as file:
        start = file.read(32)
    for magic, (kind, fix) in _FOREIGN.items():
        if start.startswith(magic) or start.lower().startswith(magic):
            raise InputError(f"{path}:1: is {kind}. {fix}.")
    for kind, is_of_kind, unpack in _PACKED:
        if is_of_kind(start):
            return unpack(path), kind
    return io.BufferedReader(io.FileIO(path), 1 << 17), ""


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
        lambda start: start.startswith(b"\x28\xb5\x2f\xfd"),
        lambda path: io.BufferedReader(pa.CompressedInputStream(str(path), "zstd")),
    ),
)


def _unpacked(path: Path, new: Callable[[], _Decompressor]) -> io.BufferedIOBase:
    return io.BufferedReader(_Unpacked(path.open("rb"), new))


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY_BYTES)
