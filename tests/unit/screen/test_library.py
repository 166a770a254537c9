"""A library: distinct sequences in an order of their own, every id and every record."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.scoring.sequences import Rules
from snw_dist.screen.library import StoredLibrary, read_library, write_library

RULES = Rules("reject", 1, 100)
TEXT = ">b\nWWW\n>a\nAAAA\n>c\nAC\n>twin\naaaa\n>a\nAAAA\n>bad\nA1\n"


def test_every_record_is_accounted_for(tmp_path: Path) -> None:
    (tmp_path / "l.fasta").write_text(TEXT)
    library = read_library("ligand", tmp_path / "l.fasta", RULES)
    assert library.sequences == ["AC", "WWW", "AAAA"], "by length"
    assert library.ids == ["c", "b", "a", "twin"]
    assert library.accounting() == {"records": 6, "used": 4, "merged": 1, "rejected": 1, "distinct_sequences": 3}
    assert [one.id for one in library.rejects] == ["bad"]


def test_the_order_of_the_file_decides_no_sequence(tmp_path: Path) -> None:
    (tmp_path / "l.fasta").write_text(TEXT)
    (tmp_path / "m.fasta").write_text(">c\nAC\n>a\nAAAA\n>b\nWWW\n>twin\nAAAA\n")
    one, other = (read_library("ligand", tmp_path / name, RULES) for name in ("l.fasta", "m.fasta"))
    assert one.sequences == other.sequences
    assert one.digest != other.digest, "the places of the records are part of the result"


def test_it_is_the_same_on_the_disk(tmp_path: Path) -> None:
    (tmp_path / "l.fasta").write_text(TEXT)
    library = read_library("ligand", tmp_path / "l.fasta", RULES)
    write_library(tmp_path / "kept", library)
    stored = StoredLibrary(tmp_path / "kept", library.digest)
    assert len(stored) == 3
    assert stored.sequences.take(np.array([2, 0])) == ["AAAA", "AC"]
    of, names = stored.names(np.array([2, 1, 2]))
    assert of.tolist() == [0, 0, 1, 2, 2]
    assert names == ["a", "twin", "b", "a", "twin"]
    assert stored.places(2) == [1, 3]
    with pytest.raises(CorruptError, match=r"index\.safetensors"):
        StoredLibrary(tmp_path / "kept", "0" * 64)
    (tmp_path / "kept" / "ids.arrow").write_bytes(b"")
    with pytest.raises(CorruptError, match="Start the same command again"):
        StoredLibrary(tmp_path / "kept", library.digest)


def test_a_file_without_a_usable_record_is_refused(tmp_path: Path) -> None:
    (tmp_path / "l.fasta").write_text(">bad\nA1\n")
    with pytest.raises(InputError, match=r"l.fasta:2: bad: .*\n.*l.fasta: no record of the file can be used"):
        read_library("ligand", tmp_path / "l.fasta", RULES)
