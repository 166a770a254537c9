"""Bounded, careful reading of text files."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from hpc.errors import InputError
from snw_dist.data.files.text import read_lines

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True) if data else bytes.fromhex("28b52ffd2000010000"),
}


@pytest.mark.parametrize(
    "content",
    [b"a\nb\n", b"a\nb", b"a\r\nb\r\n", b"\xef\xbb\xbfa\nb\n", b"a\r\r\nb\n"],
    ids=["lf", "no last newline", "crlf", "bom", "twice converted"],
)
@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("name", ["f.txt", "f.gz", "f.txt.bz2"])
def test_line_ends_bom_and_packing_by_content(tmp_path: Path, content: bytes, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PACKERS[kind](content))
    assert list(read_lines(path)) == ["a", "b"]
    path.write_bytes(PACKERS[kind](content[:2]) + PACKERS[kind](content[2:]))  # as `cat a.gz b.gz` makes it
    assert list(read_lines(path)) == ["a", "b"]


@pytest.mark.parametrize("kind", PACKERS)
def test_nothing_packed_is_no_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "f").write_bytes(PACKERS[kind](b""))
    assert list(read_lines(tmp_path / "f")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ok\nx\xe9y\n", r"f\.txt:2: byte 0xe9 at column 2 is not UTF-8\. Save"),
        ("a\nb\n".encode("utf-16"), r"f\.txt:1: is text in UTF-16\. Save it as UTF-8"),
        (b"PK\x03\x04rest", r"f\.txt:1: is a zip archive or an Excel workbook\. Unpack it"),
        (b"PAR1rest", r"f\.txt:1: is a Parquet table\. Do not pack it, and let its name end in \.parquet"),
        (b"<!DOCTYPE html>", r"f\.txt:1: is a web page\. Download the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\n", r"f\.txt:1: is a pointer of Git LFS.*git lfs pull"),
        (b">a\rMKV\r", r"f\.txt:1: lines end with CR only\. Convert"),
        (b"ok\n" + b"A" * 101 + b"\n", r"f\.txt:2: the line is longer than 100 bytes\. Break"),
        (b"0123456789\n" * 20, r"f\.txt:19: more than 200 bytes of text\. Split"),
    ],
    ids=["latin-1", "utf-16", "zip", "parquet", "web", "lfs", "cr", "long line", "long file"],
)
def test_what_is_not_lines(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(read_lines(path, max_line_bytes=100, max_total_bytes=200))
    assert caught.value.exit_code == 2


def test_limits_are_inclusive(tmp_path: Path) -> None:
    path = tmp_path / "f.txt"
    path.write_bytes(b"A" * 99 + b"\n" + b"B" * 100)
    assert [len(line) for line in read_lines(path, max_line_bytes=100, max_total_bytes=200)] == [99, 100]


@pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "garbage after"])
def test_damaged_packing(tmp_path: Path, kind: str, damage: str) -> None:
    whole = PACKERS[kind](os.urandom(3000).hex().encode() + b"\n")
    path = tmp_path / "f.gz"
    path.write_bytes(
        {
            "truncated": whole[:-20],
            "flipped": whole[:4] + bytes([whole[4] ^ 0xFF]) + whole[5:] if kind == "zstd" else flipped(whole),
            "garbage after": whole + b"garbage",
        }[damage]
    )
    with pytest.raises(InputError, match=rf"f\.gz:\d+: the {kind} data are truncated or corrupt .* Copy") as caught:
        list(read_lines(path))
    assert caught.value.exit_code == 2


def flipped(whole: bytes) -> bytes:
    return whole[:200] + bytes([whole[200] ^ 0xFF]) + whole[201:]


def test_xz_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    (tmp_path / "f.xz").write_bytes(lzma.compress(b"a\n", filters=filters))
    with pytest.raises(InputError, match=r"f\.xz:1: the xz data are truncated or corrupt \(Memory usage limit"):
        list(read_lines(tmp_path / "f.xz"))


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"A" * 60 + b"\n", "unpacks to more than 200 times"), (b"A" * 100, "the line is longer than")],
    ids=["lines", "one line"],
)
def test_bomb_is_stopped_early_in_bounded_memory(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "bomb.fasta.gz"
    block = line * 10_000
    with gzip.open(path, "wb") as file:
        for _ in range(20):
            file.write(block * 2)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            for _ in read_lines(path):
                pass
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


def test_two_gigabyte_line_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.fasta"
    with path.open("wb") as file:
        file.write(b">a\n")
        file.truncate(2 << 30)  # a sparse file: it takes no space
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"huge\.fasta:2: the line is longer than 16,777,216 bytes"):
            for _ in read_lines(path):
                pass
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()
