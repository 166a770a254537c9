"""Bounded, careful reading of text files."""

from __future__ import annotations

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.data.text import check_readable, read_lines


@pytest.mark.parametrize(
    "content",
    [b"a\nb\n", b"a\nb", b"a\r\nb\r\n", b"\xef\xbb\xbfa\nb\n", b"a\r\r\nb\n"],
    ids=["lf", "no last newline", "crlf", "bom", "twice converted"],
)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_line_ends_and_bom(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"f.txt{ending}"
    path.write_bytes(gzip.compress(content, mtime=0) if ending else content)
    assert list(read_lines(path)) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"ok\nx\xe9y\n", r"f\.txt:2: byte 0xe9 at column 2 is not UTF-8\. Save"),
        ("a\nb\n".encode("utf-16"), r"f\.txt:1: byte 0xff at column 1 is not UTF-8"),
        (b">a\rMKV\r", r"f\.txt:1: lines end with CR only\. Convert"),
        (
            gzip.compress(b">a\nM\n", mtime=0),
            r"f\.txt:1: is gzip-compressed but not named so\. Let its name end in \.gz",
        ),
        (b"ok\n" + b"A" * 101 + b"\n", r"f\.txt:2: the line is longer than 100 bytes\. Break"),
        (b"0123456789\n" * 20, r"f\.txt:19: more than 200 bytes of text\. Split"),
    ],
    ids=["latin-1", "utf-16", "cr", "gzip by content", "long line", "long file"],
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


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no gzip", "garbage after"])
def test_damaged_gzip(tmp_path: Path, damage: str) -> None:
    whole = gzip.compress(os.urandom(3000).hex().encode() + b"\n", mtime=0)
    path = tmp_path / "f.gz"
    path.write_bytes(
        {
            "truncated": whole[:-20],
            "flipped": whole[:200] + bytes([whole[200] ^ 0xFF]) + whole[201:],
            "no gzip": b">a\nMKV\n",
            "garbage after": whole + b"garbage",
        }[damage]
    )
    with pytest.raises(InputError, match=r"f\.gz:\d+: the gzip data are truncated or corrupt .* Copy") as caught:
        list(read_lines(path))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [(b"A" * 60 + b"\n", "decompresses to more than 200 times"), (b"A" * 100, "the line is longer than")],
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


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_not_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    message = "no such file" if kind == "missing" else "not a regular file"
    with pytest.raises(InputError, match=rf"x: {message}\. Correct data\.ligands"):
        check_readable(path, "data.ligands")
