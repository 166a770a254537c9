"""A scorer that needs no network, for what is about rows and files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from snw_dist.scoring.columns import Column
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.scores import Scores
from snw_dist.scoring.sequences import Rules
from snw_dist.scoring.table.run import Accounting, Output, predict_table
from snw_dist.scoring.table.sides import Side
from snw_dist.scoring.table.text import text_source

RULES = Rules("reject", 1, 100)
COLUMNS = [Column("snw_score", "of the pair", lambda scored: scored.scores.score)]


def score_of(ligand: str, receptor: str) -> float:
    """Another one for every pair, and for its sides exchanged."""
    return int.from_bytes(f"{ligand}/{receptor}".encode(), "big") % 9973 / 9973


class FakeScorer:
    """As `PairScorer`, of a bundle that is none."""

    rules, longest, device = RULES, None, torch.device("cpu")

    def __init__(self) -> None:
        rows = SimpleNamespace(width=8, dtype="float16")
        self.bundle = SimpleNamespace(sha256="0" * 64, says=SimpleNamespace(rows=rows))
        self.num_scored = 0

    def stored(self, sequence: str) -> bool:
        return False

    def score_clean(self, ligands: Sequence[str], receptors: Sequence[str]) -> Scores:
        self.num_scored += len(ligands)
        found = np.array([score_of(*pair) for pair in zip(ligands, receptors, strict=True)])
        return Scores(found, found, {}, {})


def sides() -> tuple[Side, Side]:
    """Both told by cells that are sequences."""
    return Side("ligand", RULES), Side("receptor", RULES)


def predicted(
    table: Path, to: Path, rows: int = 3, top: int | None = None, scorer: Any = None, columns: Any = COLUMNS
) -> Accounting:
    """The rows of a CSV table scored by the fake, `rows` in a piece."""
    source, _ = text_source(table, ",", sides(), False, rows)
    source.made_of["table"] = table.read_text()
    return predict_table(source, cast(PairScorer, scorer or FakeScorer()), columns, Output(to), top)
