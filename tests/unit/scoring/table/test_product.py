"""All ligands with all receptors, and not more of them than anybody wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.scoring.table import product
from snw_dist.scoring.table.product import product_source
from snw_dist.scoring.table.sides import Pair, Refused, give
from tests.kit.table_tools import sides


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "l.fasta").write_text(">a\nAA\n>bad\nA1\n>c\nCC\n")
    (tmp_path / "r.fasta").write_text(">x\nMKV\n>y\nGG\n")
    return tmp_path / "l.fasta", tmp_path / "r.fasta"


def test_every_record_has_its_rows(files: tuple[Path, Path]) -> None:
    chunks = list(product_source(sides(), files, None, rows=4).chunks())
    assert [(chunk.rows[0], len(chunk.pairs)) for chunk in chunks] == [(1, 4), (5, 2)]
    cells = [tuple(row.values()) for chunk in chunks for row in chunk.cells.to_pylist()]
    assert cells == [(ligand, receptor) for receptor in "xy" for ligand in ("a", "bad", "c")]
    pairs = [pair for chunk in chunks for pair in chunk.pairs]
    assert pairs[0] == Pair("AA", "MKV")
    assert isinstance(pairs[1], Refused)
    assert pairs[5] == Pair("CC", "GG")


def test_an_id_with_two_sequences_is_refused_and_one_that_is_there_twice_is_not(files: tuple[Path, Path]) -> None:
    files[0].write_text(">a\nAA\n>b\nCC\n>a\na a\n")
    assert len(next(iter(product_source(sides(), files, None).chunks())).pairs) == 6
    files[0].write_text(">a\nAA\n>b\nCC\n>a\nAC\n")
    with pytest.raises(
        InputError, match=r"l.fasta:5: a: the id stands for different sequences \(lines 1 and 5\)\. Keep"
    ):
        product_source(sides(), files, None)


def test_one_pair() -> None:
    both = sides()
    give(both[0], "siinfekl")
    give(both[1], "MKV")
    [chunk] = product_source(both, (None, None), None).chunks()
    assert chunk.cells.to_pylist() == [{"cell_0": "siinfekl", "cell_1": "MKV"}]
    assert chunk.pairs == [Pair("SIINFEKL", "MKV")]


def test_too_many(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "MOST_PAIRS", 5)
    with pytest.raises(InputError, match=r"3 ligands with 2 receptors are 6 pairs, .* Give --top N"):
        product_source(sides(), files, None)
    assert len(list(product_source(sides(), files, 1).chunks())) == 1
