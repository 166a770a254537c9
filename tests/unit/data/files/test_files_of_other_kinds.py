"""Files that are packed otherwise, packed twice, damaged, or no text at all: read, or told for what they are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pyarrow as pa
import pytest

from hpc.errors import InputError
from snw_dist.data.prepare import prepare
from tests.kit.data_inputs import LIGANDS, PAIRS, Inputs

CONTENT = PAIRS.encode()
HALVES = CONTENT[:60], CONTENT[60:]


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(data)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def tar(mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("pairs.csv")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
    return buffer.getvalue()


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pairs.csv", CONTENT)
    return buffer.getvalue()


READ = {
    "gzip of several members": b"".join(map(gzip.compress, HALVES)),
    "gzip with zeros after": gzip.compress(CONTENT) + b"\0" * 100,
    "gzip with an empty member after": gzip.compress(CONTENT) + gzip.compress(b""),
    "bzip2 of several streams": b"".join(map(bz2.compress, HALVES)),
    "xz of several streams": b"".join(map(lzma.compress, HALVES)),
    "xz with padding": lzma.compress(HALVES[0]) + b"\0" * 8 + lzma.compress(HALVES[1]) + b"\0" * 4,
    "zstd of several frames": b"".join(map(zstd, HALVES)),
    "zstd behind a frame to skip": b"\x50\x2a\x4d\x18\4\0\0\0abcd" + zstd(CONTENT),
    "a byte order mark": b"\xef\xbb\xbf" + CONTENT,
}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("name", ["pairs.csv", "PAIRS.CSV.GZ", "pairs.csv.xz"])
def test_read_whatever_the_name_says(inputs: Inputs, kind: str, name: str) -> None:
    counts = prepare(inputs(pairs=READ[kind], names=("l.fasta", "r.fasta", name))).counts["pairs"]
    assert (counts.read, counts.kept) == (4, 4)


REFUSED = {
    "gzip twice": (gzip.compress(gzip.compress(CONTENT)), "is packed twice, by gzip and gzip. Unpack it once."),
    "bzip2 in gzip": (gzip.compress(bz2.compress(CONTENT)), "is packed twice, by gzip and bzip2."),
    "gzip in xz": (lzma.compress(gzip.compress(CONTENT)), "is packed twice, by xz and gzip."),
    "gzip in zstd": (zstd(gzip.compress(CONTENT)), "is packed twice, by zstd and gzip."),
    "zip": (zipped(), "is a zip archive or an Excel workbook. Unpack it, or save the sheet as CSV."),
    "zip in gzip": (gzip.compress(zipped()), "is packed by gzip, and holds a zip archive"),
    "tar": (tar(), "is a tar archive. Unpack it."),
    "tar.gz": (tar("w:gz"), "is packed by gzip, and holds a tar archive. Unpack it."),
    "tar.bz2": (tar("w:bz2"), "is packed by bzip2, and holds a tar archive."),
    "tar.xz": (tar("w:xz"), "is packed by xz, and holds a tar archive."),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4" + b"\1" * 50, "is a 7-Zip archive."),
    "rar": (b"Rar!\x1a\x07\x01\0", "is a RAR archive."),
    "compress": (b"\x1f\x9d\x90aaaa", "is packed by compress (.Z). Unpack it."),
    "lz4": (b"\x04\x22\x4d\x18aaaa", "is packed by lz4. Unpack it."),
    "lzma": (lzma.compress(CONTENT, format=lzma.FORMAT_ALONE), "is packed by lzma, the old form of xz."),
    "parquet": (b"PAR1aaaa", "is a Parquet table. Do not pack it, and let its name end in .parquet."),
    "feather": (b"ARROW1\0\0", "is an Arrow (Feather) table. Write it as Parquet or CSV."),
    "sqlite": (b"SQLite format 3\0", "is an SQLite database."),
    "utf-16": (PAIRS.encode("utf-16"), "is text in UTF-16. Save it as UTF-8."),
    "utf-32": (PAIRS.encode("utf-32"), "is text in UTF-32. Save it as UTF-8."),
    "web page": (b"\xef\xbb\xbf\n  <!DOCTYPE html>\n", "is a web page. Download the file itself."),
    "xml": (b"<?xml version='1.0'?>", "is an XML document."),
    "conflict": (b"<<<<<<< HEAD\n" + CONTENT, "is a file with a conflict of Git. Resolve it."),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, not the file."),
}


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv.gz", "pairs.tar.gz", "pairs.dat", "pairs.fasc"])
@pytest.mark.parametrize("kind", REFUSED)
def test_refused_for_what_it_is(inputs: Inputs, kind: str, name: str) -> None:
    content, said = REFUSED[kind]
    scores = {"term": "I_sc", "description": "(?P<ligand>.)(?P<receptor>.)"} if name.endswith("fasc") else {}
    split = {"method": "random"} if scores else {}
    for files in ({"pairs": content}, {"ligands": content}):
        config = inputs(**files, names=("ligands.fasta", "r.fasta", name), scores=scores, split=split)
        with pytest.raises(InputError) as caught:
            prepare(config)
        assert f"{name if 'pairs' in files else 'ligands.fasta'}:1: {said}" in str(caught.value)
        assert "\n" not in str(caught.value)


DAMAGED = {
    "gzip": gzip.compress(CONTENT),
    "bzip2": bz2.compress(CONTENT),
    "xz": lzma.compress(CONTENT),
    "zstd": zstd(CONTENT),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("damage", ["cut", "half", "begin", "garbage"])
def test_damaged_packing(inputs: Inputs, kind: str, damage: str) -> None:
    content = DAMAGED[kind]
    content = {"cut": content[:-3], "half": content[:40], "begin": content[:10], "garbage": content + b"garbage!"}[
        damage
    ]
    with pytest.raises(InputError) as caught:
        prepare(inputs(pairs=content))
    assert f"the {kind} data are truncated or corrupt (" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_called_parquet(inputs: Inputs) -> None:
    with pytest.raises(InputError, match=r"pairs\.parquet: is no Parquet table, whatever its name says"):
        prepare(inputs(pairs=PAIRS, names=("l.fasta", "r.fasta", "pairs.parquet")))


def test_the_first_bytes_of_text_are_text(inputs: Inputs) -> None:
    """`ORCID` and `LZIP` may be names of columns."""
    for name in ("ORC", "ORCID", "LZIP", "PK", "BZh", "7z"):
        pairs = "\n".join(f"{name if not number else 'x'},{line}" for number, line in enumerate(PAIRS.split()))
        assert prepare(inputs(ligands=LIGANDS, pairs=pairs)).counts["pairs"].kept == 4
