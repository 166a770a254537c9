"""The names of a table of which nobody has said what its columns are called."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.data.files.names import all_cells, column_names

KNOWN = {"p1", "p2", "R1"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "a,b c,x\np1,R1,1\n"),
        ("t.csv", "sep=;\na;b c;x\np1;R1;1\n"),
        ("t.tsv", "# of our lab\n\nA title\n#a\tb c\tx\np1\tR1\t1\n"),
        ("t.csv", 'a,"b c",x\nq9,R9,0\np1,R1,1\n'),
    ],
)
def test_the_line_before_the_first_row(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert column_names(path, KNOWN.__contains__) == ["a", "b c", "x"]
    assert ("1", "p1") in list(all_cells(path, ["x", "a"]))


def test_names_that_stand_twice_or_are_empty_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,b,,x\np1,R1,1,2,3\n")
    assert column_names(path, KNOWN.__contains__) == ["a", "x"]


def test_columns_of_parquet_that_hold_texts_or_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    row = {"a": "p1", "n": 1, "x": 0.5, "yes": True, "when": pd.Timestamp("2020-01-01"), "list": [1]}
    pd.DataFrame([row]).to_parquet(path)
    assert column_names(path, KNOWN.__contains__) == ["a", "n", "x", "yes"]
    assert list(all_cells(path, ["a", "x", "yes"])) == [("p1", 0.5, True)]


@pytest.mark.parametrize("text", ["p1,R1,1\np2,R1,0\n", "title\np1,R1,1\n", "q8,R8,0\np1,R1,1\n"])
def test_a_table_without_names(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="no header line"):
        column_names(path, KNOWN.__contains__)


def test_a_table_of_other_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\nq1,q2\n")
    with pytest.raises(InputError, match="no cell of its first 2 lines is an id"):
        column_names(path, KNOWN.__contains__)
