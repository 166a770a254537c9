"""Hits summed up while they go by, against all of them at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from snw_dist.report.screening import heat, summed
from snw_dist.report.screening.heat import alike_together, chosen_ligands, heat_of
from snw_dist.report.screening.summed import summed as summed_up
from tests.unit.report.screening.conftest import Screens

REASONS = ["", "", "ligand outside training", "ligand outside training; receptor outside training"]


def written(folder: Path, receptors: int, top: int, ligands: int = 500, files: int = 3) -> pd.DataFrame:
    """A made-up result: each receptor has `top` hits of its own choice."""
    draw = np.random.default_rng(3)
    tables = []
    for receptor in range(receptors):
        chosen = draw.choice(ligands, top, replace=False)
        score = np.sort(draw.random(top))[::-1]
        tables.append(
            pd.DataFrame({"ligand": [f"l{one}" for one in chosen], "receptor": f"r{receptor}", "snw_score": score})
        )
    hits = pd.concat(tables, ignore_index=True)
    hits["snw_abstain"] = draw.choice(REASONS, len(hits))
    hits["snw_specificity"] = draw.random(len(hits)).round(2)
    hits["snw_num_receptors"] = hits.groupby("ligand")["receptor"].transform("size")
    for side in ("ligand", "receptor"):
        hits[f"snw_nearest_{side}_identity"] = draw.random(len(hits))
    (folder / "hits").mkdir(parents=True)
    for number, part in enumerate(np.array_split(np.arange(receptors), files)):
        own = hits[hits["receptor"].isin([f"r{one}" for one in part])]
        pq.write_table(pa.Table.from_pandas(own, preserve_index=False), folder / "hits" / f"part-{number:05d}.parquet")
    return hits


def test_the_sums_of_several_files_are_those_of_all_rows(tmp_path: Path) -> None:
    hits = written(tmp_path, receptors=9, top=40)
    found = summed_up(tmp_path, "receptor")
    assert (found.rows, found.num_abstained) == (len(hits), int((hits["snw_abstain"] != "").sum()))
    assert found.reasons["receptor outside training"] == (hits["snw_abstain"] == REASONS[3]).sum()
    assert found.reasons["ligand outside training"] == found.num_abstained
    most = hits.drop_duplicates("ligand")["snw_num_receptors"].nlargest(summed.MOST_FREQUENT)
    assert found.frequent["lists"].tolist() == most.tolist()
    assert all(counts.sum() == len(hits) for counts in found.identities.values())
    for row in found.receptors.itertuples():
        own = hits[hits["receptor"] == row.receptor]
        assert (row.hits, row.best, row.last) == (len(own), own["snw_score"].max(), own["snw_score"].min())
        assert (row.best_ligand, row.trusted) == (own["ligand"].iloc[0], (own["snw_abstain"] == "").sum())


def test_ten_thousand_receptors_leave_a_heat_map_that_can_be_read(tmp_path: Path) -> None:
    hits = written(tmp_path, receptors=10_000, top=3)
    found = heat_of(tmp_path, summed_up(tmp_path, "receptor"))
    assert found is not None
    assert found.scores.shape == (heat.MOST_RECEPTORS, heat.MOST_LIGANDS)
    best = hits.groupby("receptor")["snw_score"].max().sort_values(ascending=False)
    assert set(found.receptors) == set(best.index[: heat.MOST_RECEPTORS])
    scores = hits.set_index(["receptor", "ligand"])["snw_score"]
    for row, receptor in enumerate(found.receptors):
        for column, ligand in enumerate(found.ligands):
            value = found.scores[row, column]
            assert np.isnan(value) if (receptor, ligand) not in scores.index else value == scores[receptor, ligand]


def test_no_hits_make_no_heat_map(tmp_path: Path) -> None:
    assert heat_of(tmp_path, summed_up(tmp_path, "receptor")) is None


def test_each_receptor_has_its_best_ligand_before_any_has_its_second() -> None:
    top = pd.DataFrame(
        [("a", "x", 0.9), ("b", "x", 0.8), ("c", "y", 0.1), ("a", "y", 0.05)],
        columns=["ligand", "receptor", "snw_score"],
    )
    assert chosen_ligands(top) == ["a", "c", "b"]


def test_rows_that_are_alike_stand_together() -> None:
    one, other = [0.9, 0.8, np.nan, np.nan], [np.nan, np.nan, 0.7, 0.6]
    order = alike_together(np.array([one, other, one, other, one]))
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert {order[place] % 2 for place in range(3)} == {0}


def test_receptors_that_are_in_several_files_are_counted_once(screens: Screens) -> None:
    """With lists of ligands a receptor is in every file."""
    found, hits = summed_up(screens.by_ligand, "ligand"), pd.read_parquet(screens.by_ligand / "hits")
    assert found.rows == len(hits) == 20 * 2
    counts = hits["receptor"].value_counts()
    assert dict(found.receptors[["receptor", "hits"]].itertuples(index=False)) == counts.to_dict()
    assert found.frequent["lists"].tolist() == sorted(counts, reverse=True)
    for row in found.receptors.itertuples():
        own = hits[hits["receptor"] == row.receptor]
        assert (row.best, row.best_ligand) == (own["snw_score"].max(), own.loc[own["snw_score"].idxmax(), "ligand"])
    drawn = heat_of(screens.by_ligand, found)
    assert drawn is not None
    assert np.isfinite(drawn.scores).sum() == len(hits)
