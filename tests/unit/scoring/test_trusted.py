"""The columns of a bundle that say how far a row can be trusted, and what is said once."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpc.errors import CorruptError
from snw_dist import PairScorer
from snw_dist.config import SnwConfig
from snw_dist.scoring.columns import Scored
from tests.kit.bundle_tools import bundled, measured_pairs, put

OURS = ["snw_score", "snw_probability", "snw_probability_low", "snw_probability_high"]
NEAREST = [f"snw_nearest_{side}{what}" for side in ("ligand", "receptor") for what in ("", "_identity")]


@pytest.fixture(scope="module")
def scorer(made: Path) -> PairScorer:
    return PairScorer.load(made, device="cpu")


def rewritten(made: Path, folder: Path, **values: object) -> Path:
    """The bundle with other values in `trust.json`."""
    shutil.copytree(made, folder)
    content = json.loads((folder / "trust.json").read_text()) | values
    put(folder, "trust.json", json.dumps(content).encode())
    return folder


def changed(sequence: str) -> str:
    return ("A" if sequence[0] != "A" else "C") + sequence[1:]


def test_they_are_there_in_their_order(scorer: PairScorer, run: SnwConfig) -> None:
    pairs = measured_pairs(run)[["ligand", "receptor"]].head(8)
    table = scorer.score_table(pairs)
    assert list(table) == ["ligand", "receptor", *OURS, *NEAREST, "snw_abstain"]
    assert (table["snw_probability_low"] <= table["snw_probability"]).all()
    assert (table["snw_probability"] <= table["snw_probability_high"]).all()
    assert (table["snw_probability_high"] > table["snw_probability_low"]).any()
    assert table["snw_abstain"].tolist() == [""] * 8, "all of its sequences were trained on"
    assert (table["snw_nearest_ligand"] == pairs["ligand"]).all()
    assert (table[[NEAREST[1], NEAREST[3]]] == 1).all(axis=None)


def test_a_sequence_that_is_new_leads_to_the_closest(scorer: PairScorer) -> None:
    trained = scorer.bundle.read_json("trained_on.json")
    ligand, receptor = trained["ligands"][3], trained["receptors"][2]
    table = scorer.score_table(
        pd.DataFrame({"ligand": [changed(ligand), ligand], "receptor": [receptor, f"{receptor}WW"]})
    )
    assert table["snw_nearest_ligand"].tolist() == [ligand, ligand]
    assert table["snw_nearest_ligand_identity"].tolist() == [7 / 8, 1.0]
    assert table["snw_nearest_receptor"].tolist() == [receptor, receptor]
    assert table["snw_nearest_receptor_identity"].tolist() == pytest.approx([1.0, 12 / 14])
    assert table["snw_abstain"].tolist() == ["ligand outside training", "receptor outside training"]


def test_an_unlike_receptor_is_said_once(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    scorer = PairScorer.load(made, device="cpu")
    trained = scorer.bundle.read_json("trained_on.json")
    ligand, receptor = trained["ligands"][0], trained["receptors"][0]
    with caplog.at_level(logging.WARNING):
        scorer.score_table(pd.DataFrame({"ligand": [changed(ligand)], "receptor": [receptor]}))
        assert not caplog.records, "an unlike ligand is said in its row alone"
        for _ in range(2):
            scorer.score_table(pd.DataFrame({"ligand": [ligand] * 2, "receptor": [receptor, changed(receptor)]}))
    [said] = [record.getMessage() for record in caplog.records]
    assert f"receptor {changed(receptor)} is farther from those of training" in said
    assert "0.92" in said


def test_it_is_said_by_its_id_where_it_has_one(made: Path, caplog: pytest.LogCaptureFixture) -> None:
    scorer = PairScorer.load(made, device="cpu")
    ligands, receptors = scorer.bundle.read_json("trained_on.json")["ligands"][:1] * 2, ["A" * 100, "C" * 200]
    [abstain] = [column for column in scorer.trust if column.name == "snw_abstain"]
    abstain.make(Scored(ligands, receptors, scorer.score(ligands, receptors), ["HLA-A*02:01", "HLA-B*07:02"]))
    assert caplog.messages[-1].startswith("receptor HLA-B*07:02 is farther from those of training")


def test_a_bundle_without_probabilities_says_so_once(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = rewritten(made, tmp_path / "bundle", num_negative=0, num_positive=31, band=[])
    with caplog.at_level(logging.WARNING):
        scorer = PairScorer.load(folder, device="cpu")
        trained = scorer.bundle.read_json("trained_on.json")
        pair = pd.DataFrame({"ligand": trained["ligands"][:1], "receptor": trained["receptors"][:1]})
        tables = [scorer.score_table(pair) for _ in range(2)]
    [said] = [record.getMessage() for record in caplog.records]
    assert "31 positive and 0 negative pairs, too few to calibrate" in said
    assert not {"snw_probability_low", "snw_probability_high"} & set(tables[0])


def test_members_that_disagree(several: SnwConfig, tmp_path: Path) -> None:
    folder = bundled(several, tmp_path / "all", "all")
    pairs = measured_pairs(several, f"compare/run_{several.run.name}-siamese-1.parquet")[["ligand", "receptor"]]
    scorer = PairScorer.load(folder, device="cpu")
    table, limit = scorer.score_table(pairs), json.loads((folder / "trust.json").read_text())["limits"]["disagreement"]
    scores = scorer.score(pairs["ligand"], pairs["receptor"])
    apart = np.ptp(list(scores.probabilities.values()), axis=0)
    assert (table["snw_abstain"].str.contains("members disagree") == (apart > limit)).all()
    assert (table["snw_probability_low"] <= table["snw_probability"]).all()
    assert (table["snw_probability"] <= table["snw_probability_high"]).all()


@pytest.mark.parametrize("name", ["trust.json", "trained_on.json"])
def test_what_cannot_be_read_is_refused_in_one_line(made: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(made, tmp_path / "bundle")
    put(tmp_path / "bundle", name, b'{"ligands": 3}')
    with pytest.raises(CorruptError, match=name) as found:
        PairScorer.load(tmp_path / "bundle", device="cpu")
    assert "\n" not in str(found.value)
