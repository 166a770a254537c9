"""Tables with percentiles: the backgrounds come first, are said, and are not computed twice."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from snw_dist.scoring.columns import Column, _percentile
from snw_dist.scoring.percentile import Percentiles, Wanted
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.backgrounds import prepare_backgrounds, wanted_by
from snw_dist.scoring.table.run import Accounting, Output, predict_table
from snw_dist.scoring.table.scan import scan_source
from snw_dist.scoring.table.text import text_source
from tests.kit.percentile_tools import SIZE, CountingScorer, counted_one_by_one, percentiles_in
from tests.kit.table_tools import COLUMNS, sides

ROWS = [("SIINFEKL", "MKV"), ("A" * 13, "MKV"), ("GILGFVFTL", "MKV"), ("B1", "MKV"), ("SIINFEKL", "GSHSM")]
ROWS += [("NLVPMVAT", "MKV")]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    path.write_text("ligand,receptor\n" + "".join(f"{ligand},{receptor}\n" for ligand, receptor in ROWS))
    return path


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    log = logging.getLogger("hpc.told")
    log.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "hpc.told"):
        yield caplog
    log.removeHandler(caplog.handler)


def predicted(table: Path, to: Path, scorer: CountingScorer, percentiles: Percentiles | None) -> Accounting:
    columns: list[Column] = [*COLUMNS, *([_percentile(percentiles)] if percentiles else [])]
    source, _ = text_source(table, ",", sides(), False, 2)
    return predict_table(source, cast(PairScorer, scorer), columns, Output(to), None, percentiles)


def test_every_row_has_its_percentile_or_is_said_to_have_none(
    table: Path, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    scorer, to = CountingScorer(), tmp_path / "out.csv"
    assert predicted(table, to, scorer, percentiles_in(tmp_path / "cache", scorer)) == (6, 5, 1, 0)
    with to.open() as file:
        found = [(row["ligand"], row["receptor"], row["snw_percentile"]) for row in csv.DictReader(file)]
    assert found[1] == ("A" * 13, "MKV", "")
    for ligand, receptor, share in (found[0], *found[2:]):
        assert float(share) == pytest.approx(counted_one_by_one(ligand, receptor))
    assert "no snw_percentile for 1 row with ligands of 1 length (13 residues): too long." in told.messages
    assert any(f"to score: {3 * SIZE:,} pairs of {2 * SIZE:,} peptides" in line for line in told.messages)
    assert not any("receptors: snw_score ranks" in line for line in told.messages)
    assert scorer.num_scored == 5 + 3 * SIZE


def test_many_lengths_without_a_background_are_one_line(tmp_path: Path, told: pytest.LogCaptureFixture) -> None:
    wanted = Wanted.of(["A" * length for length in range(13, 20)] + ["A" * 13, "SIINFEKL"], ["MKV"] * 9)
    prepare_backgrounds(wanted, percentiles_in(tmp_path / "cache", CountingScorer()))
    assert {line for line in told.messages if line.startswith("no ")} == {
        "no snw_percentile for 8 rows with ligands of 7 lengths (13, 14, 15, 16, 17, ... residues): too long."
    }


def test_a_run_that_was_killed_computes_no_background_twice(table: Path, tmp_path: Path) -> None:
    class Killed(CountingScorer):
        def score_clean(self, ligands, receptors):  # type: ignore[no-untyped-def]
            if self.num_scored >= 2 * SIZE:
                raise KeyboardInterrupt
            return super().score_clean(ligands, receptors)

    scorer, to = Killed(), tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        predicted(table, to, scorer, percentiles_in(tmp_path / "cache", scorer))
    assert not to.exists()
    again = CountingScorer()
    predicted(table, to, again, percentiles_in(tmp_path / "cache", again))
    assert again.num_scored == 5 + SIZE
    predicted(table, tmp_path / "all.csv", (whole := CountingScorer()), percentiles_in(tmp_path / "other", whole))
    assert to.read_bytes() == (tmp_path / "all.csv").read_bytes()


def test_without_percentiles_several_receptors_are_not_to_be_ranked(
    table: Path, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    predicted(table, tmp_path / "out.csv", CountingScorer(), None)
    assert any(line.startswith("2 receptors: snw_score ranks the ligands of one receptor.") for line in told.messages)
    table.write_text("ligand,receptor\nSIINFEKL,MKV\nGILGFVFTL,MKV\n")
    told.clear()
    predicted(table, tmp_path / "one.csv", CountingScorer(), None)
    assert not any("snw_score ranks" in line for line in told.messages)


def test_a_scan_says_what_it_needs_without_being_read(tmp_path: Path) -> None:
    (tmp_path / "p.fasta").write_text(">a\nMKVLAWYHHT\n>b\nMKV\n")
    (tmp_path / "r.fasta").write_text(">x\nMKVW\n>y\nGGA\n>again\nGGA\n")
    source = scan_source(sides(), (tmp_path / "p.fasta", tmp_path / "r.fasta"), [3, 4, 11], None)
    said, read = wanted_by(source), wanted_by(replace(source, wanted=None))
    assert (said.groups, said.rows) == (read.groups, read.rows)
    assert said.rows == {3: 27, 4: 21}
