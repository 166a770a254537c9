"""What is ahead is said from a short trial on real rows, and not where it is quick."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from snw_dist.scoring.table import preflight
from snw_dist.scoring.table.preflight import Pace, tried
from snw_dist.scoring.table.sides import Pair
from snw_dist.scoring.table.survey import Count, Survey
from tests.kit.table_tools import predicted

PAIRS = [Pair(f"{'A' * (number % 7 + 1)}C{'D' * (number // 7)}", "MKV") for number in range(7 * 40)]


class Machine:
    """Time goes on with the work: `embedding_s` for a new residue, `scoring_s` for a pair."""

    def __init__(self, embedding_s: float, scoring_s: float) -> None:
        self.now, self._embedding_s, self._scoring_s = 0.0, embedding_s, scoring_s
        self._known: set[str] = set()
        self.calls: list[int] = []

    def score(self, pairs: Sequence[Pair]) -> None:
        new = {one for pair in pairs for one in pair} - self._known
        self._known |= new
        self.now += self._embedding_s * sum(map(len, new)) + self._scoring_s * len(pairs)
        self.calls.append(len(pairs))

    def pace(self, survey: Survey) -> Pace | None:
        return tried(PAIRS, survey, self.score, lambda _: False, lambda: self.now)


def survey(pairs: int, residues: int) -> Survey:
    count = Count(pairs, residues, True)
    return Survey(pairs, pairs, count, count, 1)


@pytest.mark.parametrize(("embedding_s", "scoring_s"), [(0.001, 0.01), (0.0, 0.02), (0.01, 0.001)])
def test_both_paces_are_found(embedding_s: float, scoring_s: float) -> None:
    machine = Machine(embedding_s, scoring_s)
    pace = machine.pace(survey(1_000_000, 10_000_000))
    assert pace is not None
    assert pace.seconds(1_000_000, 10_000_000) == pytest.approx(1e6 * scoring_s + 1e7 * embedding_s)
    assert machine.now < 4 * 4 * preflight.TRIAL_S  # of a size that is not enough comes one four times as large


def test_no_trial_for_what_is_quick() -> None:
    machine = Machine(0.0, 0.001)
    assert machine.pace(survey(1000, 0)) is None
    assert machine.calls == [16, 16]
    assert Machine(1.0, 1.0).pace(survey(100, 10)) is None


def test_an_estimate_is_told_with_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    for module in ("preflight", "run"):
        monkeypatch.setattr(f"snw_dist.scoring.table.{module}.tell", lines.append)
    (tmp_path / "pairs.csv").write_text("ligand,receptor\n" + "AAA,MKV\n" * 300 + "A1,MKV\n")
    predicted(tmp_path / "pairs.csv", tmp_path / "quick.csv", 50)
    assert len(lines) == 1
    assert lines[0].startswith(
        "301 rows, 1 cannot be scored; 300 pairs of 2 distinct sequences; to embed: 2 sequences, "
    )
    monkeypatch.setattr(preflight, "QUICK_S", 0.0)
    predicted(tmp_path / "pairs.csv", tmp_path / "out.csv", 50)
    assert "from a trial with 16 pairs" in lines[2]
    told = int(lines[2].rpartition("about ")[2].split()[0].replace(",", ""))
    assert told == pytest.approx((tmp_path / "out.csv").stat().st_size, rel=0.1)
