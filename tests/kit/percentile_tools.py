"""A background of a few hundred peptides, and scores of it that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from snw_dist.bundle.background import PERCENT, digest_of, drawn
from snw_dist.scoring.background import Background
from snw_dist.scoring.percentile import Percentiles, Scorer
from snw_dist.scoring.score_cache import ScoreCache
from snw_dist.scoring.scores import Scores
from tests.kit.bundle_tools import sign
from tests.kit.table_tools import FakeScorer

SIZE = 400
BACKGROUND = Background("peptides", "0" * 64, lambda n: drawn(PERCENT, 1, SIZE, n) if n <= 12 else [], "too long")


class CountingScorer(FakeScorer):
    """Also says what it was asked for."""

    def __init__(self, most_residues: int = 10**6) -> None:
        super().__init__()
        self.most_residues, self.calls = most_residues, list[tuple[str, str, int]]()

    def score_clean(self, ligands: Sequence[str], receptors: Sequence[str]) -> Scores:
        self.calls.append((ligands[0], receptors[0], len(ligands)))
        return super().score_clean(ligands, receptors)


def percentiles_in(
    folder: Path, scorer: CountingScorer | None = None, background: Background = BACKGROUND
) -> Percentiles:
    return Percentiles(cast(Scorer, scorer or CountingScorer()), background, ScoreCache(folder))


def counted_one_by_one(ligand: str, receptor: str) -> float:
    """The percentile of a pair by the fake scores."""
    scorer, own = FakeScorer(), FakeScorer().score_clean([ligand], [receptor]).score[0]
    others = scorer.score_clean(BACKGROUND.peptides(len(ligand)), [receptor] * SIZE).score.tolist()
    points = [1.0 if other > own else 0.5 if other == own else 0.0 for other in others]
    return 100 * sum(points) / SIZE


def with_few_peptides(bundle: Path, size: int = 1000) -> Path:
    """Let a bundle name a background that takes no time."""
    facts = {"size": size, "sha256": digest_of(drawn(PERCENT, 1, size, 9))}
    sign(bundle, lambda content: content["background"].update(facts))
    return bundle
