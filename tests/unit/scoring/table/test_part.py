"""The parts of a table: together they are the whole, none is scored twice, and the rows can be added up."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.part import Part, PartOfSource
from snw_dist.scoring.table.run import Accounting, Output, predict_table
from snw_dist.scoring.table.text import text_source
from tests.kit.table_tools import COLUMNS, FakeScorer, predicted, sides

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
ROWS = [f"{n},{LETTERS[n % 20]}{LETTERS[n // 20]}KK,MKV" if n % 9 else f"{n},B1,MKV" for n in range(70)]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["n,ligand,receptor", *ROWS, ""]))
    return path


def scored(table: Path, part: Part, scorer: FakeScorer | None = None) -> tuple[Accounting, str]:
    """A part of the table, three rows in a piece; what is said of all parts."""
    source, _ = text_source(table, ",", sides(), False, 3)
    source.made_of["table"] = table.read_text()
    whole = table.with_name("out.csv")
    own = PartOfSource(source, part)
    output = Output(part.named(whole), part=own)
    done = predict_table(own.source(), cast(PairScorer, scorer or FakeScorer()), COLUMNS, output)
    return done, own.sum_of_all(whole)


@pytest.mark.parametrize(("count", "parts"), [(0, 3), (1, 3), (24, 5), (24, 1), (7, 7)])
def test_every_piece_is_in_one_part(count: int, parts: int) -> None:
    found = [Part(number, parts).pieces(count) for number in range(1, parts + 1)]
    assert [piece for part in found for piece in part] == [*range(count)]
    assert max(map(len, found)) - min(map(len, found)) <= 1


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "1/0", "a/b", "1/3/5", "-1/3", "1/1000000", "١/٣"])
def test_a_part_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="such as 1/8 to 8/8"):
        Part.of(text)


def test_names_stand_in_the_order_of_the_parts() -> None:
    names = [Part(number, 12).named(Path("a/b.csv")).name for number in (2, 11)]
    assert names == sorted(names) == ["b.02-of-12.csv", "b.11-of-12.csv"]


def test_the_parts_in_any_order_are_the_whole(table: Path) -> None:
    predicted(table, table.with_name("whole.csv"))
    said = {number: scored(table, Part(number, 4))[1] for number in (3, 1, 4, 2)}
    assert said[1].startswith("Parts done: 2 of 4;")
    assert said[2] == "Parts done: all 4; rows in them: 70 = 62 written + 8 rejected"
    for suffix in (".csv", ".csv.rejects.csv"):
        parts = [table.with_name(f"out.{number}-of-4{suffix}").read_text().splitlines() for number in (1, 2, 3, 4)]
        whole = table.with_name(f"whole{suffix}").read_text().splitlines()
        assert [whole[0], *(line for part in parts for line in part[1:])] == whole


def test_a_part_is_scored_again_only_where_it_is_not_as_it_was(table: Path) -> None:
    part, scorer = Part(2, 4), FakeScorer()
    done, said = scored(table, part, scorer)
    first = scorer.num_scored
    assert first > 0
    assert scored(table, part, scorer) == (done, said)
    assert scorer.num_scored == first
    output = part.named(table.with_name("out.csv"))
    good = output.read_bytes()
    output.write_bytes(good[:-1])
    assert scored(table, part, scorer) == (done, said)
    assert scorer.num_scored == 2 * first
    assert output.read_bytes() == good
    table.write_text(table.read_text() + "70,SIINFEKL,MKV\n")
    scored(table, part, scorer)
    assert scorer.num_scored > 2 * first, "another table"


def test_parts_of_another_table_are_not_added_up(table: Path) -> None:
    scored(table, Part(1, 2))
    table.write_text(table.read_text().replace("0,B1", "0,KKK"))
    assert scored(table, Part(2, 2))[1].startswith("Parts done: 1 of 2;")


def test_lost_rows_are_told(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(table, Part(1, 2))
    monkeypatch.setattr(Part, "pieces", lambda self, count: range(count // 2 + 1, count))
    with pytest.raises(CorruptError, match="the table 70"):
        scored(table, Part(2, 2))
