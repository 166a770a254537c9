"""Which columns of a table are the pairs, and whether it has names at all."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.scoring.table import text
from snw_dist.scoring.table.sides import Pair, Refused, Side, give
from snw_dist.scoring.table.text import text_source
from tests.kit.table_tools import RULES, sides

PAIR = Pair("SIINFEKL", "MKV")


def pairs(path: Path, both: tuple[Side, Side], bare: bool = False) -> tuple[list[str], list[Pair | Refused]]:
    """Names of the columns, and what each row is."""
    source, _ = text_source(path, ",", both, bare)
    return [field.name for field in source.fields], [pair for chunk in source.chunks() for pair in chunk.pairs]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("ligand,receptor\nSIINFEKL,MKV\n", ["ligand", "receptor"]),
        ("PEPTIDE;MHC;n\nSIINFEKL;MKV;1\n", ["PEPTIDE", "MHC", "n"]),
        ("# made by hand\n\nreceptor\tligand\nMKV\tSIINFEKL\n", ["receptor", "ligand"]),
        ("SIINFEKL,MKV\n", ["ligand", "receptor"]),
        ("SIINFEKL\tMKV\t0.5\n", ["ligand", "receptor", "column_3"]),
        ("# nothing but rows\nSIINFEKL MKV\n", ["ligand", "receptor"]),
        (
            "receptor_id,receptor,ligand_id,ligand\nr1,MKV,l1,SIINFEKL\n",
            ["receptor_id", "receptor", "ligand_id", "ligand"],
        ),
    ],
)
def test_columns_are_found(tmp_path: Path, content: str, names: list[str]) -> None:
    (tmp_path / "pairs.csv").write_text(content)
    assert pairs(tmp_path / "pairs.csv", sides()) == (names, [PAIR])


def test_columns_that_are_named(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("ligand,a,b\nGG,SIINFEKL,MKV\n")
    both = Side("ligand", RULES, column="a"), Side("receptor", RULES, column="b")
    assert pairs(tmp_path / "pairs.csv", both)[1] == [PAIR]


def test_a_side_that_is_given_for_all_rows(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("SIINFEKL\nSI NFEKL\n")
    both = sides()
    give(both[1], "MKV")
    assert pairs(tmp_path / "pairs.csv", both) == (["ligand"], [PAIR, Pair("SINFEKL", "MKV")])


def test_a_bad_first_row_is_a_row_where_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("S1INFEKL,MKV\nSIINFEKL,MKV\n")
    found = pairs(tmp_path / "pairs.csv", sides(), bare=True)[1]
    assert isinstance(found[0], Refused)
    assert found[1] == PAIR
    with pytest.raises(InputError, match=r"no column with the ligand and the receptor; .*--no-header"):
        pairs(tmp_path / "pairs.csv", sides())


def test_one_column_is_missing(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("ligand,what\nSIINFEKL,M1V\n")
    with pytest.raises(InputError, match=r"no column with the receptor; .*ligand, what\. Name it: --receptor-column"):
        pairs(tmp_path / "pairs.csv", sides())


def test_packed_and_joined(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv.gz"
    path.write_bytes(gzip.compress(b"ligand,receptor\nSIINFEKL,MKV\nligand,receptor\n"))
    assert pairs(path, sides())[1] == [PAIR, Refused("the header again")]


def test_pieces_end_with_their_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "CHUNK_BYTES", 20)
    (tmp_path / "pairs.csv").write_text("ligand,receptor\n" + "SIINFEKL,MKV\n" * 5)
    source, _ = text_source(tmp_path / "pairs.csv", ",", sides(), False)
    assert [(chunk.rows[0], len(chunk.pairs)) for chunk in source.chunks()] == [(1, 2), (3, 2), (5, 1)]
