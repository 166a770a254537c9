"""The hits of a screen, summed up while they go by."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.report.screening.read import hits_in

TOP_OF_EACH = 20
"""Hits of each receptor that are kept for the heat map."""
MOST_LIGANDS = 30
"""Promiscuous ligands that are kept."""
EDGES: FloatArray = np.linspace(0.0, 1.0, 21)
"""Of the bins of identities."""
_COLUMNS = [
    "ligand",
    "receptor",
    "snw_score",
    "snw_nearest_ligand_identity",
    "snw_nearest_receptor_identity",
    "snw_abstain",
    "snw_rank",
    "snw_specificity",
    "snw_num_receptors",
]
_PROMISCUOUS = ["ligand", "snw_num_receptors", "snw_specificity", "snw_nearest_ligand_identity"]


@dataclasses.dataclass(frozen=True)
class Summed:
    """All hits, summed up."""

    rows: int
    receptors: pd.DataFrame
    """A row for each receptor id with hits: receptor, hits, best (score), last (score), best_ligand, trusted (hits with
    nothing against them), identity (of the closest training receptor), file (where its hits are)."""
    top: pd.DataFrame
    """The first hits of each receptor: ligand, receptor, snw_score, snw_rank."""
    promiscuous: pd.DataFrame
    """The ligands with most receptors: ligand, snw_num_receptors, snw_specificity (the lowest of its rows),
    snw_nearest_ligand_identity."""
    identities: dict[str, IntArray]
    """Side -> [bins] rows by the identity of the closest training sequence, see `EDGES`."""
    reasons: Counter[str]
    """Why not to trust -> rows; a row with several reasons counts for each."""
    num_abstained: int


def summed(folder: Path) -> Summed:
    """Sum up the hits in the folder of a screen; raises `CorruptError` where a file cannot be read."""
    receptors, top, promiscuous = [], [], [pd.DataFrame(columns=_PROMISCUOUS)]
    identities = {side: np.zeros(len(EDGES) - 1, np.int64) for side in ("ligand", "receptor")}
    reasons: Counter[str] = Counter()
    rows = abstained = 0
    for file, hits in hits_in(folder, _COLUMNS):
        rows += len(hits)
        receptors.append(_of_receptors(hits).assign(file=str(file)))
        top.append(hits.loc[hits["snw_rank"] <= TOP_OF_EACH, ["ligand", "receptor", "snw_score", "snw_rank"]])
        promiscuous = [_most_promiscuous(pd.concat([*promiscuous, hits[_PROMISCUOUS]] if rows else promiscuous))]
        for side, counts in identities.items():
            counts += np.histogram(hits[f"snw_nearest_{side}_identity"], EDGES)[0]
        for reason, count in hits["snw_abstain"].value_counts().items():
            abstained += count if reason else 0
            reasons.update(dict.fromkeys(filter(None, str(reason).split("; ")), count))
    return Summed(
        rows,
        pd.concat(receptors, ignore_index=True) if receptors else pd.DataFrame(),
        pd.concat(top, ignore_index=True) if top else pd.DataFrame(),
        promiscuous[0],
        identities,
        reasons,
        int(abstained),
    )


def _of_receptors(hits: pd.DataFrame) -> pd.DataFrame:
    """Rows come in the order of their ranks."""
    by = hits.assign(trusted=hits["snw_abstain"] == "").groupby("receptor", sort=False)
    found = by.agg(
        hits=("snw_score", "size"),
        best=("snw_score", "max"),
        last=("snw_score", "min"),
        best_ligand=("ligand", "first"),
        trusted=("trusted", "sum"),
        identity=("snw_nearest_receptor_identity", "first"),
    )
    return found.reset_index()


def _most_promiscuous(hits: pd.DataFrame) -> pd.DataFrame:
    ordered = hits.sort_values(["snw_num_receptors", "snw_specificity", "ligand"], ascending=[False, True, True])
    return ordered.drop_duplicates("ligand").head(MOST_LIGANDS).reset_index(drop=True)
