"""What the result of a screen is made from, in the hands of whoever does a part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snw_dist.screen.hits import Sides
from snw_dist.screen.plan_file import ScreenPlan
from snw_dist.screen.ranked import Lists
from snw_dist.screen.rows import Ranking
from snw_dist.screen.towers import Towers
from snw_dist.screen.unit import Scoring
from snw_dist.screen.vectors import VectorSet


@dataclass(frozen=True)
class Making:
    """What the files of a result are made from."""

    to: Path
    plan: ScreenPlan
    scoring: Scoring
    sides: Sides
    references: VectorSet
    """Receptors of the training."""
    peptides: Mapping[int, VectorSet]
    """Residues -> natural peptides that scores are compared with; none where that was not asked for."""
    towers: Towers
    ranking: Ranking
    lists: Lists
    """As they are written: those of a second stage, where there is one."""
