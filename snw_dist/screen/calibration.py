"""The calibration pairs of a screen: those of the bundle whose scores rank the hits, scored as the library is scored.

Only scores that are made in one way can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from hpc.errors import InputError
from snw_dist.bundle.calibration_pairs import CalibrationPairs, read_calibration_pairs
from snw_dist.bundle.format import TRAINED_ON
from snw_dist.bundle.read import Bundle
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.library import Kind
from snw_dist.screen.towers import Towers

_AT_ONCE = 1 << 10


def pairs_of(bundle: Bundle) -> CalibrationPairs:
    """The calibration pairs of a bundle; raises `InputError` where it has none."""
    pairs = read_calibration_pairs(bundle)
    if pairs is None:
        raise InputError(
            f"{bundle.folder}: has no calibration pairs, so nobody knows how many hits would be false. Make it again "
            "with those of a held-out split: snw-dist export --calibration-split NAME"
        )
    return pairs


def check_held_out(pairs: CalibrationPairs, bundle: Bundle, first: Bundle) -> None:
    """Raise `InputError` where the network of the first stage may have learned from calibration pairs of the second."""
    if count := learned_from(pairs, bundle, first):
        raise InputError(
            f"--false-rate: {first.folder} may have learned from {count:,} of {len(pairs.score):,} calibration pairs "
            f"of {bundle.folder}: both sequences of each are in its training pairs. Train both bundles on the same "
            "pairs, or name a split that is new to both: snw-dist export --calibration-split NAME"
        )


def learned_from(pairs: CalibrationPairs, bundle: Bundle, first: Bundle) -> int:
    """From how many calibration pairs of a bundle another one may have learned: both sequences were in its training."""
    digests = [{one for entry in of.says.members.values() for one in entry.trained_on} for of in (first, bundle)]
    if digests[0] <= digests[1]:  # the same pairs of train and val: what one holds out, the other does, too
        return 0
    trained = first.read_json(TRAINED_ON)
    sides = [set(trained["ligands"]), set(trained["receptors"])]
    if first.says.sequences.symmetric:
        sides = [sides[0] | sides[1]] * 2
    known = [
        [one in side for one in names] for names, side in zip((pairs.ligands, pairs.receptors), sides, strict=True)
    ]
    return sum(known[0][left] and known[1][right] for left, right in zip(pairs.ligand, pairs.receptor, strict=True))


def scored_by(pairs: CalibrationPairs, scorer: PairScorer, checkpoint: Callable[[], None]) -> CalibrationPairs:
    """The pairs with the scores that a second stage gives them."""
    score: list[float] = []
    for start in range(0, len(pairs.score), _AT_ONCE):
        checkpoint()
        now = slice(start, start + _AT_ONCE)
        left, right = (
            [pairs.ligands[one] for one in pairs.ligand[now]],
            [pairs.receptors[one] for one in pairs.receptor[now]],
        )
        score += scorer.score_clean(left, right).score.tolist()
    return replace(pairs, score=score)


def scored_again(pairs: CalibrationPairs, towers: Towers, dtype: str) -> CalibrationPairs:
    """The pairs with the scores that a screen gives them: by vectors of its number format, on its device."""
    vectors = [_vectors(towers, "ligand", pairs.ligands, dtype), _vectors(towers, "receptor", pairs.receptors, dtype)]
    score = [
        value
        for start in range(0, len(pairs.score), _AT_ONCE)
        for value in towers.scores(
            vectors[0][pairs.ligand[start : start + _AT_ONCE]], vectors[1][pairs.receptor[start : start + _AT_ONCE]]
        ).tolist()
    ]
    return replace(pairs, score=score)


def _vectors(towers: Towers, side: Kind, sequences: Sequence[str], dtype: str) -> torch.Tensor:
    pieces = [towers.vectors(side, sequences[at : at + _AT_ONCE]) for at in range(0, len(sequences), _AT_ONCE)]
    return torch.cat(pieces).to(getattr(torch, dtype)).float()
