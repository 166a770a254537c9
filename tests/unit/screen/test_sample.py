"""The sample of a second stage: what it says of the recall is what scoring every pair says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen import recall
from snw_dist.screen.asked import Asked
from snw_dist.screen.result import summary
from snw_dist.screen.sample import drawn
from tests.kit.bundle_tools import bundled, measured_run, with_model
from tests.kit.screen_tools import every_score, screened


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network without vectors."""
    folder = tmp_path_factory.mktemp("better")
    return bundled(measured_run(folder, **with_model("cross_attention")), folder / "bundle")


@pytest.fixture(scope="module")
def table(inputs: Path, better: Path) -> pd.DataFrame:
    """All pairs of distinct sequences, the best by the second bundle first, with their places in the first stage."""
    table = every_score(Asked(str(inputs / "bundle"), inputs / "l.fasta", inputs / "r.fasta", inputs))
    table = table.drop_duplicates(["ligand_sequence", "receptor_sequence"])
    table["first_rank"] = table.groupby("receptor").cumcount() + 1
    scorer = PairScorer.load(better, device="cpu")
    table["score"] = scorer.score(table["ligand_sequence"].tolist(), table["receptor_sequence"].tolist()).score
    table["length"] = table["ligand_sequence"].str.len()
    return table.sort_values(["score", "length", "ligand_sequence"], ascending=[False, True, True])


def said_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "result.json").read_text())["recall"])


def true_recall(table: pd.DataFrame, most: int, top: int | None, least: float) -> float:
    """What the lists have of what would be at least as good as their last entry, or reach a score."""
    found = missed = 0
    for _, own in table.groupby("receptor"):
        reaching = own[own["score"] >= least].reset_index(drop=True)
        seen = np.flatnonzero(reaching["first_rank"] <= most)[:top]
        end = seen[-1] + 1 if top is not None and len(seen) == top else len(reaching)
        found, missed = found + len(seen), missed + (reaching["first_rank"][:end] > most).sum()
    return found / (found + missed)


@pytest.mark.parametrize(("top", "quantile"), [(5, None), (None, 0.7), (5, 0.7)])
def test_where_all_others_are_sampled_the_recall_is_the_true_one(
    asked: Asked, better: Path, table: pd.DataFrame, top: int | None, quantile: float | None
) -> None:
    least = None if quantile is None else float(table["score"].quantile(quantile))
    folder = screened(replace(asked, rerank=str(better), rerank_top=12, top=top, threshold=least))
    said, right = said_in(folder), true_recall(table, 12, top, -np.inf if least is None else least)
    assert (said["sampled"], said["others"], said["rerank_top"]) == (6 * 31, 6 * 31, 12)
    assert 0.1 < said["recall"] == right < 0.9
    assert said["interval"] == [right, right]
    assert sum(one["missed_of_sample"] for one in said["receptors"]) == said["missed_of_sample"]
    assert f"the lists have {right:.1%} " in summary(folder)
    for most, one in said["by_rerank_top"]:
        if top is None:
            assert one == pytest.approx(true_recall(table, most, top, least), abs=0.02), most


def test_a_small_sample_tells_how_little_it_knows(
    asked: Asked, better: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "FEWEST", 60)
    said = said_in(screened(replace(asked, rerank=str(better), rerank_top=12, top=5)))
    right = true_recall(table, 12, 5, -np.inf)
    assert (said["sampled"], said["others"]) == (60, 6 * 31)
    low, high = said["interval"]
    assert low < said["recall"] < high
    assert low < right < high


def test_where_the_second_stage_sees_all_nothing_is_lost(asked: Asked, better: Path) -> None:
    folder = screened(replace(asked, rerank=str(better), rerank_top=43, top=5))
    assert said_in(folder)["recall"] == 1
    assert "the second stage has scored every pair" in summary(folder)


def test_each_of_the_others_is_drawn_as_often() -> None:
    listed, counts = np.array([7, 0, 3, 9]), np.zeros(12, dtype=np.int64)
    for receptor in range(2000):
        one = drawn(12, listed, 3, receptor)
        assert len(set(one.tolist())) == 3
        counts[one] += 1
    assert counts[listed].sum() == 0
    others = np.delete(counts, listed)
    assert abs(others - 750).max() < 5 * (750 * 5 / 8) ** 0.5
    assert sorted(drawn(12, listed, 8, 1)) == [1, 2, 4, 5, 6, 8, 10, 11]
