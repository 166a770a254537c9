"""Lists of ligands: the best receptors of each are those of all scores of `predict`, the same bytes by any tasks."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from hpc.errors import InputError
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen import plan
from snw_dist.screen.asked import Asked, check, prepared_screen
from snw_dist.screen.plan import lists_together
from snw_dist.screen.preflight import most_entries
from snw_dist.screen.result import summary
from snw_dist.screen.specificity import higher_in_list
from tests.kit.screen_tools import every_score, hits_of, result_of, screened, sequences_of


@pytest.fixture
def by_ligand(asked: Asked, tmp_path: Path) -> Asked:
    """With a receptor under two ids."""
    names = sequences_of(asked.receptors)
    twins = tmp_path / "twins.fasta"
    twins.write_text(f">again\n{names['r2']}\n" + asked.receptors.read_text())
    return replace(asked, receptors=twins, by="ligand", top=2)


def expected_of(asked: Asked, top: int, threshold: float = 0.0) -> pd.DataFrame:
    """By numpy alone: ligands by length and letters, of each its best receptors, of these every id."""
    table = every_score(asked)
    table = table[table["snw_score"] >= threshold]
    order = {name: place for place, name in enumerate([*sequences_of(asked.ligands), *sequences_of(asked.receptors)])}
    keys = [
        table["receptor"].map(order),
        table["receptor_sequence"],
        table["receptor_sequence"].str.len(),
        -table["snw_score"],
        table["ligand"].map(order),
        table["ligand_sequence"],
        table["ligand_sequence"].str.len(),
    ]
    table = table.iloc[np.lexsort(keys)]
    rank = table.groupby("ligand")["receptor_sequence"].transform(lambda one: pd.factorize(one)[0] + 1)
    return table.assign(snw_rank=rank)[rank <= top].reset_index(drop=True)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_lists_are_those_of_all_scores(by_ligand: Asked, dtype: str) -> None:
    folder = screened(replace(by_ligand, dtype=dtype))
    found, expected = hits_of(folder).reset_index(drop=True), expected_of(by_ligand, 2)
    if dtype == "float32":
        same = ["ligand", "receptor", "ligand_sequence", "receptor_sequence", "snw_rank", "snw_score"]
        pd.testing.assert_frame_equal(found[same], expected[same], check_dtype=False)
    assert len(found) == len(expected) > 2 * 44
    every = every_score(by_ligand).drop_duplicates(["ligand", "receptor_sequence"])
    if dtype == "float32":
        of_ligand = dict(list(every.groupby("ligand")["snw_score"]))
        higher = [(of_ligand[row.ligand] > row.snw_score).sum() for row in found.itertuples()]
        np.testing.assert_array_equal(found["snw_specificity"], 1 - np.array(higher) / 5)
    distinct = found.drop_duplicates(["ligand_sequence", "receptor_sequence"])
    counts = Counter(distinct["receptor_sequence"])
    assert found["snw_num_ligands"].tolist() == [counts[one] for one in found["receptor_sequence"]]
    assert "snw_library_percentile" not in found.columns
    assert not (folder / "csv").exists()
    assert "csv" not in summary(folder)
    said = json.loads((folder / "result.json").read_text())
    assert said["ties"].startswith("equal scores: the shorter receptor first")
    assert said["hits"] == 43 * 2
    schema = pq.read_schema(next((folder / "hits").iterdir()))
    assert all(b"meaning" in schema.field(name).metadata for name in schema.names)


def test_any_number_of_tasks_gives_the_same_bytes(by_ligand: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several groups of lists, and receptors in several blocks."""
    monkeypatch.setattr(plan, "_MOST_GROUP", 10)
    alone = result_of(screened(by_ligand))
    assert len(alone) == 5 + 1, "43 lists, ten in a file"
    other = replace(by_ligand, to=by_ligand.to.with_name("array"), block_residues=1000, unit_pairs=7)
    assert result_of(screened(other, tasks=3)) == alone


def test_a_threshold_and_percentiles(by_ligand: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "proteins.fasta").write_text(">p\n" + "".join(np.random.default_rng(1).choice([*"ACDEFGHIKL"], 1010)))
    threshold = float(every_score(by_ligand)["snw_score"].quantile(0.7))
    asked = replace(by_ligand, top=None, threshold=threshold, block_residues=10_000)
    folder = screened(replace(asked, percentile=tmp_path / "proteins.fasta"))
    found, expected = hits_of(folder).reset_index(drop=True), expected_of(by_ligand, 6, threshold)
    pd.testing.assert_frame_equal(found[["ligand", "receptor"]], expected[["ligand", "receptor"]])
    scorer, sides = PairScorer.load(asked.bundle, device="cpu"), ("ligand_sequence", "receptor_sequence")
    table = scorer.score_table(
        found[[*sides]], ligand=sides[0], receptor=sides[1], percentile=tmp_path / "proteins.fasta"
    )
    np.testing.assert_array_equal(found["snw_percentile"], table["snw_percentile"])


def test_what_is_for_receptors_alone_is_refused(asked: Asked) -> None:
    for options in ({"false_rate": 0.1}, {"rerank": "b", "rerank_top": 5}):
        with pytest.raises(InputError, match="is for the lists of receptors"):
            check(replace(asked, by="ligand", **options))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="--by protein: give receptor or ligand"):
        check(replace(asked, by="protein"))  # type: ignore[arg-type]


def test_more_pairs_than_are_written_need_top(by_ligand: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snw_dist.screen.preflight.MOST_ROWS", 43 * 6 - 1)
    with pytest.raises(InputError, match=r"43 ligands with 6 receptors are 258 .* for the best N of each ligand\.$"):
        prepared_screen(replace(by_ligand, top=None, threshold=0.9))
    assert most_entries(6, 43, 9, True, "ligand") == 6


def test_lists_of_one_file_are_many_where_they_are_short() -> None:
    assert lists_together("receptor", 10**6) == 1024
    assert [lists_together("ligand", most) for most in (1, 100, 10**6)] == [65536, 10485, 1024]


def test_how_many_score_higher_in_a_list() -> None:
    owner, score = np.array([3, 3, 3, 4, 4, 9]), np.array([0.5, 0.5, 0.2, 0.2, 0.1, 0.1], dtype=np.float32)
    assert higher_in_list(owner, score).tolist() == [0, 0, 2, 0, 1, 0]
