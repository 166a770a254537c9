"""Rows in are rows out and rejected ones, whatever is in the table and whenever a run is killed."""

from __future__ import annotations

import csv
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpc.errors import InputError
from snw_dist.scoring.table import commit
from tests.kit.forks import fork, killed_at
from tests.kit.table_tools import FakeScorer, predicted, score_of

HEAD = "note,ligand,receptor\n"
TABLE = (
    HEAD
    + "a,SIINFEKL,MKV\nb,SI1NFEKL,MKV\nc,MKV,SIINFEKL\na,SIINFEKL,MKV\n\nd,MKV,MKV\n=e,,MKV\nf,AA,GG,x\n-5,AA,GG\n\n"
)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text(TABLE)
    return path


def rejected(to: Path) -> Path:
    return to.with_name(f"{to.name}.rejects.csv")


def test_every_row_is_accounted_for(table: Path, tmp_path: Path) -> None:
    to = tmp_path / "out.csv"
    done = predicted(table, to)
    assert done == (8, 5, 3, 0)
    rows = read(to)
    assert [row["note"] for row in rows] == ["a", "c", "a", "d", "-5"]
    assert [float(row["snw_score"]) for row in rows] == [score_of(row["ligand"], row["receptor"]) for row in rows]
    assert [(row["row"], row["line"]) for row in read(rejected(to))] == [("2", "3"), ("6", "8"), ("7", "9")]
    assert [*read(rejected(to))[0]] == ["file", "line", "id", "reason", "value", "row"]
    assert [row["value"] for row in read(rejected(to))] == ["SI1NFEKL", "", ""]
    assert {row["file"] for row in read(rejected(to))} == {"pairs.csv"}
    reasons = [row["reason"] for row in read(rejected(to))]
    assert "'1' at column 3 is not an amino acid" in reasons[0]
    assert reasons[1] == "the ligand is empty"
    assert reasons[2].startswith("4 columns, the header has 3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.csv.rejects.csv", "pairs.csv"]


CELLS = st.sampled_from(["SIINFEKL", "MKV", "mkv", " A C ", "", "B1", "-", "=1+1", "GG"])
NOTES = st.text(alphabet="a ,\"'=-5é;", max_size=6)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(NOTES, CELLS, CELLS), max_size=12), size=st.integers(1, 5))
def test_rows_in_are_rows_out_and_rejected(rows: list[tuple[str, str, str]], size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, to = Path(folder) / "pairs.csv", Path(folder) / "out.parquet"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
            writer.writerows([("note", "ligand", "receptor"), *rows])
        done = predicted(path, to, size)
        bad = {int(row["row"]) for row in read(rejected(to))} if done.rejected else set()
        found = pq.read_table(to).to_pylist()
    assert done.rows == len(rows) == done.written + done.rejected
    assert (len(found), len(bad)) == (done.written, done.rejected)
    kept = [row for number, row in enumerate(rows, 1) if number not in bad]
    assert [(row["note"], row["ligand"], row["receptor"]) for row in found] == kept
    clean = [tuple(cell.replace(" ", "").upper() for cell in row[1:]) for row in kept]
    assert [row["snw_score"] for row in found] == [score_of(*pair) for pair in clean]


@pytest.mark.parametrize(("suffix", "step"), [("csv", 13), ("parquet", 11)])
def test_killed_anywhere_and_finished(table: Path, tmp_path: Path, suffix: str, step: int) -> None:
    """At every line of what keeps pieces and publishes the output; the names of the output are whole or not there."""
    clean = tmp_path / f"clean.{suffix}"
    predicted(table, clean, 2)
    expected = clean.read_bytes(), rejected(clean).read_bytes()
    files, line, killed = ("table/commit.py", "table/finish.py", "disk/files.py"), 1, 0
    while True:
        to = tmp_path / str(line) / f"out.{suffix}"
        to.parent.mkdir()
        count = fork(killed_at(line, files, partial(predicted, table, to, 2))).result()
        assert not to.exists() or to.read_bytes() == expected[0]
        assert not rejected(to).exists() or rejected(to).read_bytes() == expected[1]
        predicted(table, to, 2)
        assert (to.read_bytes(), rejected(to).read_bytes()) == expected
        assert {path.name for path in to.parent.iterdir()} == {to.name, rejected(to).name}
        if count is not None:
            break
        killed, line = killed + 1, line + step
    assert killed > 10


def interrupted(table: Path, to: Path, pieces: int) -> None:
    """A run that ends after so many pieces."""
    keep, kept = commit.Pieces.commit, 0

    def stop(self: commit.Pieces, number: int, rows: Any) -> None:
        nonlocal kept
        if kept == pieces:
            raise KeyboardInterrupt
        keep(self, number, rows)
        kept += 1

    with patch.object(commit.Pieces, "commit", stop), pytest.raises(KeyboardInterrupt):
        predicted(table, to, 2)


def test_pieces_that_are_there_are_not_scored_again(table: Path, tmp_path: Path) -> None:
    to, scorer = tmp_path / "out.csv", FakeScorer()
    interrupted(table, to, 2)
    assert not to.exists()
    predicted(table, to, 2, scorer=scorer)
    assert scorer.num_scored == 2  # of five: three are in the first two pieces
    predicted(table, tmp_path / "clean.csv", 2)
    assert to.read_bytes() == (tmp_path / "clean.csv").read_bytes()


def test_another_table_begins_anew(table: Path, tmp_path: Path) -> None:
    to, scorer = tmp_path / "out.csv", FakeScorer()
    interrupted(table, to, 2)
    table.write_text(TABLE.replace("SIINFEKL", "GILGFVFTL"))
    assert predicted(table, to, 2, scorer=scorer).written == scorer.num_scored == 5
    assert {row["ligand"] for row in read(to)} == {"GILGFVFTL", "MKV", "AA"}


def test_a_damaged_piece_is_scored_again(table: Path, tmp_path: Path) -> None:
    to, scorer = tmp_path / "out.csv", FakeScorer()
    interrupted(table, to, 3)
    piece = tmp_path / ".out.csv.predict" / "piece_000000.parquet"
    data = bytearray(piece.read_bytes())
    data[20] ^= 1  # in the first column
    piece.write_bytes(data)
    predicted(table, to, 2, scorer=scorer)
    predicted(table, tmp_path / "clean.csv", 2)
    assert scorer.num_scored == 2  # one of the damaged piece, one of the last
    assert to.read_bytes() == (tmp_path / "clean.csv").read_bytes()


def test_the_best_of_each_receptor_come_first(tmp_path: Path) -> None:
    pairs = [(ligand, receptor) for receptor in ("MKV", "GG") for ligand in ("AA", "CC", "DD", "EE", "AA")]
    (tmp_path / "pairs.csv").write_text("ligand,receptor\n" + "".join(f"{a},{b}\n" for a, b in pairs) + "1,MKV\n")
    done = predicted(tmp_path / "pairs.csv", tmp_path / "out.csv", 3, top=2)
    assert done == (11, 4, 1, 6)
    best = []
    for receptor in ("MKV", "GG"):
        of_it = [pair for pair in pairs if pair[1] == receptor]
        best += sorted(of_it, key=lambda pair: -score_of(*pair))[:2]
    assert [(row["ligand"], row["receptor"]) for row in read(tmp_path / "out.csv")] == best


@pytest.mark.parametrize("text", ["", "\n\n", HEAD])
def test_an_empty_table_gives_the_header(tmp_path: Path, text: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    for suffix in ("csv", "parquet"):
        assert predicted(tmp_path / "pairs.csv", tmp_path / f"out.{suffix}") == (0, 0, 0, 0)
    names = ["note"] * (text == HEAD) + ["ligand", "receptor", "snw_score"]
    assert (tmp_path / "out.csv").read_text() == ",".join(names) + "\n"
    assert pq.read_schema(tmp_path / "out.parquet").names == names


def test_rejected_rows_of_an_earlier_run_go(table: Path, tmp_path: Path) -> None:
    to = tmp_path / "out.csv"
    predicted(table, to)
    table.write_text(HEAD + "a,SIINFEKL,MKV\n")
    predicted(table, to)
    assert not rejected(to).exists()


def test_one_process_writes_an_output(table: Path, tmp_path: Path) -> None:
    work = tmp_path / ".out.csv.predict"
    with commit.opened_pieces(work, {}), pytest.raises(InputError, match="another process is writing this output"):
        predicted(table, tmp_path / "out.csv")


def test_formulas_are_no_formulas_and_numbers_stay(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text('note,ligand,receptor\n"=HYPERLINK(1)",AA,GG\n-5.0, AA,GG\n@x,AA,GG\n')
    predicted(tmp_path / "pairs.csv", tmp_path / "out.csv")
    assert [row["note"] for row in read(tmp_path / "out.csv")] == ["'=HYPERLINK(1)", "-5.0", "'@x"]
    assert read(tmp_path / "out.csv")[1]["ligand"] == " AA"
    predicted(tmp_path / "pairs.csv", tmp_path / "out.parquet")
    assert pq.read_table(tmp_path / "out.parquet")["note"].to_pylist() == ["=HYPERLINK(1)", "-5.0", "@x"]
