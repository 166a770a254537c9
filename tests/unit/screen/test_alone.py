"""What the network says of a ligand alone is the mean of its scores with other receptors of the training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snw_dist.bundle.format import TRAINED_ON
from snw_dist.bundle.read import open_bundle
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen import alone
from snw_dist.screen.alone import references_of
from snw_dist.screen.asked import Asked
from tests.kit.screen_tools import hits_of, screened


@pytest.fixture
def with_a_known_one(asked: Asked, tmp_path: Path) -> Asked:
    """A receptor of the screen is one of the training."""
    known = references_of(open_bundle(Path(asked.bundle)))[0]
    receptors = tmp_path / "receptors.fasta"
    receptors.write_text(asked.receptors.read_text() + f">known\n{known}\n")
    return replace(asked, receptors=receptors)


def test_it_is_the_mean_without_the_receptor_of_the_hit(with_a_known_one: Asked) -> None:
    found = hits_of(screened(with_a_known_one))
    scorer = PairScorer.load(with_a_known_one.bundle, device="cpu")
    references = references_of(scorer.bundle)
    assert len(references) > 1
    for row in found.itertuples():
        others = [one for one in references if one != row.receptor_sequence]
        scores = scorer.score([row.ligand_sequence] * len(others), others).score
        np.testing.assert_allclose(row.snw_ligand_alone, scores.mean(), rtol=1e-12)
    excluded = found[found["receptor"] == "known"]
    assert len(excluded) == 5
    assert len(references) - 1 == len([one for one in references if one != excluded["receptor_sequence"].iloc[0]])


def test_of_many_receptors_some_are_chosen(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = open_bundle(Path(asked.bundle))
    every = references_of(bundle)
    assert sorted(every) == sorted(set(bundle.read_json(TRAINED_ON)["receptors"]))
    monkeypatch.setattr(alone, "REFERENCES", 1)
    [one] = references_of(bundle)
    assert one in every
    found = hits_of(screened(asked))
    scorer = PairScorer.load(asked.bundle, device="cpu")
    np.testing.assert_array_equal(found["snw_ligand_alone"], scorer.score(found["ligand_sequence"].tolist(), one).score)
