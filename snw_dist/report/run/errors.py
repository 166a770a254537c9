"""What the network gets wrong: counts at the threshold, and the worst errors with their sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from snw_dist.report.page import Cell, Column, Table

_WORST = 25
"""Of each kind."""
_LETTERS = 24
"""Of a sequence that are shown: more would take a second line, in each row of a long table."""


def confusion_table(predictions: pd.DataFrame, splits: Sequence[str], threshold: float) -> Table:
    """Calls at the threshold, right and wrong."""
    rows: list[list[Cell]] = []
    for split in splits:
        held = predictions[predictions["split"] == split]
        positive, called = held["positive"].to_numpy(dtype=np.bool_), held["score"].to_numpy() >= threshold
        hit, miss = int((positive & called).sum()), int((positive & ~called).sum())
        alarm, right = int((~positive & called).sum()), int((~positive & ~called).sum())
        shares = [hit / (hit + alarm) if hit + alarm else None, hit / (hit + miss) if hit + miss else None]
        rows.append([split, hit, miss, alarm, right, *shares, right / (right + alarm) if right + alarm else None])
    return Table(
        "quality_confusion",
        f"Calls at the threshold {threshold:.3f}",
        "A pair whose score is at least the threshold is called a binder. **Precision**: the share of the called "
        "that bind. **Recall**: the share of the binders that are called. **Specificity**: the share of the "
        "non-binders that are not called.",
        [
            *(Column("split"), Column("binders called"), Column("binders missed"), Column("false alarms")),
            *(Column("non-binders left"), Column("precision", 3), Column("recall", 3), Column("specificity", 3)),
        ],
        rows,
    )


def worst_table(
    predictions: pd.DataFrame, splits: Sequence[str], ligands: Mapping[str, str], receptors: Mapping[str, str]
) -> Table:
    """The errors of which the network was surest: binders with the lowest scores, non-binders with the highest."""
    held = predictions[predictions["split"].isin(list(splits))]
    kinds = {
        "binder, scored low": held[held["positive"]].nsmallest(_WORST, "score"),
        "non-binder, scored high": held[~held["positive"]].nlargest(_WORST, "score"),
    }
    rows = [row for kind, chosen in kinds.items() for row in _wrong(kind, chosen, ligands, receptors)]
    return Table(
        "quality_worst",
        "The worst errors",
        f"The {_WORST} binders with the lowest scores, and the {_WORST} non-binders with the highest. Look for "
        "what they have in common, and for labels that may be wrong. Long sequences are shortened here, and whole "
        "in the CSV file.",
        [
            *(Column("error"), Column("split"), Column("score", 3), Column("probability", 3), Column("label", 3)),
            *(Column("ligand"), Column("sequence", mono=True, longest=_LETTERS)),
            *(Column("receptor"), Column("receptor sequence", mono=True, longest=_LETTERS)),
        ],
        rows,
    )


def _wrong(
    kind: str, chosen: pd.DataFrame, ligands: Mapping[str, str], receptors: Mapping[str, str]
) -> Iterator[list[Cell]]:
    names = ("split", "score", "probability", "label", "ligand_id", "receptor_id")
    for split, score, probability, label, ligand, receptor in zip(*(chosen[n].tolist() for n in names), strict=True):
        sequences = ligands.get(ligand, ""), receptors.get(receptor, "")
        yield [kind, split, score, probability, label, ligand, sequences[0], receptor, sequences[1]]
