"""The hits of a screen, summed up while they go by."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from snw_dist.arrays import FloatArray, IntArray
from snw_dist.report.screening.read import hits_in
from snw_dist.screen.library import Kind, other
from snw_dist.screen.rows import COUNT, SPECIFICITY

TOP_OF_EACH = 20
"""Hits of each receptor that are kept for the heat map."""
MOST_FREQUENT = 30
"""Ligands, or receptors, that are in most lists."""
EDGES: FloatArray = np.linspace(0.0, 1.0, 21)
"""Of the bins of identities."""
_SCORES = ["ligand", "receptor", "snw_score"]
_COLUMNS = [*_SCORES, "snw_nearest_ligand_identity", "snw_nearest_receptor_identity", "snw_abstain", SPECIFICITY]


@dataclasses.dataclass(frozen=True)
class Summed:
    """All hits, summed up."""

    by: Kind
    """Who has a list."""
    rows: int
    receptors: pd.DataFrame
    """A row for each receptor id with hits: receptor, hits, best (score), last (score), best_ligand, trusted (hits with
    nothing against them), identity (of the closest training receptor). The one with the best hit is the first."""
    top: pd.DataFrame
    """The hits of each receptor with the highest scores: ligand, receptor, snw_score."""
    frequent: pd.DataFrame
    """What is in most lists, ligands or where these have the lists receptors: id, lists, specificity (the lowest of its
    rows), identity (of the closest training sequence)."""
    identities: dict[Kind, IntArray]
    """Side -> [bins] rows by the identity of the closest training sequence, see `EDGES`."""
    reasons: Counter[str]
    """Why not to trust -> rows; a row with several reasons counts for each."""
    num_abstained: int


def summed(folder: Path, by: Kind) -> Summed:
    """Sum up the hits in the folder of a screen; raises `CorruptError` where a file cannot be read."""
    receptors, top = list[pd.DataFrame](), list[pd.DataFrame]()
    frequent: list[pd.DataFrame] = []
    identities: dict[Kind, IntArray] = {side: np.zeros(len(EDGES) - 1, np.int64) for side in ("ligand", "receptor")}
    reasons: Counter[str] = Counter()
    rows = abstained = 0
    for hits in hits_in(folder, [*_COLUMNS, COUNT[by]]):
        rows += len(hits)
        receptors.append(_of_receptors(hits))
        top.append(_highest(hits[_SCORES]))
        frequent = [_most_frequent(pd.concat([*frequent, _listed(hits, by)]))]
        for side, counts in identities.items():
            counts += np.histogram(hits[f"snw_nearest_{side}_identity"], EDGES)[0]
        for reason, count in hits["snw_abstain"].value_counts().items():
            abstained += count if reason else 0
            reasons.update(dict.fromkeys(filter(None, str(reason).split("; ")), count))
    empty = pd.DataFrame()
    return Summed(
        by,
        rows,
        _together(pd.concat(receptors)) if rows else empty,
        _highest(pd.concat(top)) if rows else empty,
        frequent[0] if rows else empty,
        identities,
        reasons,
        int(abstained),
    )


def _of_receptors(hits: pd.DataFrame) -> pd.DataFrame:
    columns = {"receptor": "receptor", "best": "snw_score", "last": "snw_score", "best_ligand": "ligand"}
    rows = pd.DataFrame({name: hits[column] for name, column in columns.items()})
    trusted = (hits["snw_abstain"] == "").astype(np.int64)
    return _together(rows.assign(hits=1, trusted=trusted, identity=hits["snw_nearest_receptor_identity"]))


def _together(parts: pd.DataFrame) -> pd.DataFrame:
    """Rows of one receptor as one row."""
    ordered = parts.sort_values(["best", "receptor"], ascending=[False, True], kind="stable")
    by = ordered.groupby("receptor", sort=False)
    how = {"hits": "sum", "best": "max", "last": "min", "best_ligand": "first", "trusted": "sum", "identity": "first"}
    found: pd.DataFrame = by.agg(how).reset_index()
    return found


def _highest(hits: pd.DataFrame) -> pd.DataFrame:
    ordered = hits.sort_values("snw_score", ascending=False, kind="stable")  # equal scores stay in their order
    return ordered.groupby("receptor", sort=False).head(TOP_OF_EACH).reset_index(drop=True)


def _listed(hits: pd.DataFrame, by: Kind) -> pd.DataFrame:
    side = other(by)
    columns = {"id": side, "lists": COUNT[by], "specificity": SPECIFICITY, "identity": f"snw_nearest_{side}_identity"}
    return pd.DataFrame({name: hits[column] for name, column in columns.items()})


def _most_frequent(rows: pd.DataFrame) -> pd.DataFrame:
    ordered = rows.sort_values(["lists", "specificity", "id"], ascending=[False, True, True])
    return ordered.drop_duplicates("id").head(MOST_FREQUENT).reset_index(drop=True)
