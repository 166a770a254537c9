"""Which pairs are scored together: every pair once, and no block with more residues than fit."""

from __future__ import annotations

import numpy as np
import pytest

from snw_dist.scoring.plan import blocks


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [1, 40, 100, 400, 10**6])
def test_every_pair_once_and_no_more_than_fits(seed: int, most: int) -> None:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, 30, 25)
    ligand, receptor = draw.integers(0, 25, 200), draw.integers(0, 25, 200)
    parts = list(blocks(ligand, receptor, lengths, most))
    assert sorted(np.concatenate(parts).tolist()) == list(range(200))
    for part in parts:
        used = np.unique(np.concatenate([ligand[part], receptor[part]]))
        alone = len(set(zip(ligand[part].tolist(), receptor[part].tolist(), strict=True))) == 1
        assert lengths[used].sum() <= most or alone
    assert (len(parts) == 1) == (lengths[np.unique([ligand, receptor])].sum() <= most)


def test_pairs_of_a_sequence_of_the_heavier_side_are_neighbours() -> None:
    ligand, receptor = np.tile(np.arange(6), 4), np.repeat(np.arange(6, 10), 6)
    lengths = np.array([2] * 6 + [50] * 4)
    order = np.concatenate(list(blocks(ligand, receptor, lengths, 80)))
    assert (np.diff(receptor[order]) >= 0).all()
    order = np.concatenate(list(blocks(receptor, ligand, lengths, 80)))
    assert (np.diff(receptor[order]) >= 0).all()
