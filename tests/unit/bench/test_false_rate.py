"""The benchmark of false hits: what decides is never in the library, and a list is told by its receptors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.bench.false_rate import Pairs, by_receptor, far_out, one_by_all_others


@pytest.fixture
def pairs() -> Pairs:
    """Receptor `a` has binders on top, receptor `b` a negative above all of its binders."""
    random = np.random.default_rng(1)
    binds = random.random(400) < 0.4
    receptor = np.where(random.random(400) < 0.5, "a", "b")
    score = random.random(400) + np.where(binds, 0.9, 0) + np.where(~binds & (receptor == "b"), 0.3, 0)
    ligand = [f"l{i}" for i in random.integers(0, 100, 400)]
    return Pairs.of(pd.DataFrame({"ligand_id": ligand, "receptor_id": receptor, "score": score, "positive": binds}))


def test_no_ligand_is_on_both_sides(pairs: Pairs) -> None:
    for decides in pairs.divided(pairs.ligand, 20):
        assert not set(pairs.ligand[decides].tolist()) & set(pairs.ligand[~decides].tolist())
        assert 0.3 < decides.mean() < 0.7


def test_a_share_of_the_binders_stays(pairs: Pairs) -> None:
    whole, few = (sum(screen.binds.sum() for screen in pairs.halves(pairs.ligand, 20, share)) for share in (1.0, 0.1))
    assert 0.05 < few / whole < 0.15
    for screen in pairs.halves(pairs.ligand, 5):
        assert len(screen.negatives) + screen.num_positives + len(screen.scores) == 400


def test_receptors_of_one_list_differ(pairs: Pairs) -> None:
    shares = by_receptor(pairs, 0.2, 20)
    assert len(shares) == 2
    assert shares.min() < 0.01
    assert shares.max() > 0.1
    sizes = [len(screen.scores) + len(screen.negatives) + screen.num_positives for screen in one_by_all_others(pairs)]
    assert sizes == [400, 400]


def test_p_values_of_the_calibration_itself_are_its_shares(pairs: Pairs) -> None:
    negatives, binders = far_out(pairs, pairs, 0.1)
    assert negatives == pytest.approx(0.1, abs=0.01)
    assert binders > 0.3
