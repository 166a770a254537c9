"""Which receptors and ligands the heat map of a screen shows, and in which order."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd

from snw_dist.arrays import FloatArray
from snw_dist.report.screening.read import hits_in
from snw_dist.report.screening.summed import Summed

MOST_RECEPTORS, MOST_LIGANDS = 50, 40


@dataclasses.dataclass(frozen=True)
class Heat:
    """Scores of hits."""

    receptors: tuple[str, ...]
    ligands: tuple[str, ...]
    scores: FloatArray
    """[receptors, ligands]; NaN where a ligand is no hit of a receptor."""


def heat_of(folder: Path, found: Summed) -> Heat | None:
    """The heat map of the best receptors and their best ligands; None where there are no hits.

    Raises `CorruptError` where a file of the hits cannot be read.
    """
    if not found.rows:
        return None
    receptors = found.receptors["receptor"].head(MOST_RECEPTORS).tolist()
    ligands = chosen_ligands(found.top[found.top["receptor"].isin(receptors)])
    scores = pd.DataFrame(np.nan, index=receptors, columns=ligands)
    among = {"receptor": receptors, "ligand": ligands}
    for hits in hits_in(folder, ["ligand", "receptor", "snw_score"], among):
        table = hits.pivot_table(index="receptor", columns="ligand", values="snw_score", aggfunc="max")
        scores.update(table)  # an id is in one file with another one
    values = scores.to_numpy(np.float64)
    rows, columns = alike_together(values), alike_together(values.T)
    ordered = tuple(receptors[at] for at in rows), tuple(ligands[at] for at in columns)
    return Heat(*ordered, values[np.ix_(rows, columns)])


def chosen_ligands(top: pd.DataFrame) -> list[str]:
    """First the best ligand of each receptor, then the second best, and so on, as many as are shown.

    top: ligand, receptor, snw_score; of each receptor the best one first.
    """
    in_turn = top.assign(turn=top.groupby("receptor").cumcount())
    in_turn = in_turn.sort_values(["turn", "snw_score", "ligand"], ascending=[True, False, True])
    return in_turn["ligand"].drop_duplicates().head(MOST_LIGANDS).tolist()


def alike_together(scores: FloatArray) -> list[int]:
    """The rows of [rows, columns] in an order in which each is like the one before it: a chain of closest rows.

    It begins with the row that has most; NaN counts as 0.
    """
    filled = np.nan_to_num(scores)
    unit = filled / np.maximum(np.linalg.norm(filled, axis=1, keepdims=True), 1e-12)
    alike = unit @ unit.T
    chain, left = [int(filled.sum(axis=1).argmax())], set(range(len(filled)))
    while left := left - {chain[-1]}:
        chain.append(max(sorted(left), key=lambda row: alike[chain[-1], row]))
    return chain
