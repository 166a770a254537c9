"""When a row should not be trusted: it is unlike the pairs of validation, for which alone a calibration holds.

| reason | the row has |
|---|---|
| `ligand outside training` | a ligand less like every training ligand than 95 % of the pairs of validation have |
| `receptor outside training` | the same of its receptor; where validation has only those of training, any other one |
| `members disagree` | members whose probabilities are farther apart than those of 95 % of the pairs of validation |

The limits are in `trust.json`, see `snw_dist.bundle.trust`. Several reasons are separated by `; `.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from snw_dist.arrays import FloatArray
from snw_dist.bundle.trust import Limits
from snw_dist.scoring.scores import Scores

LIGAND, RECEPTOR, MEMBERS = "ligand outside training", "receptor outside training", "members disagree"


def reasons(limits: Limits, ligand: FloatArray, receptor: FloatArray, scores: Scores) -> npt.NDArray[np.object_]:
    """[pairs] texts, empty where nothing speaks against a row; ligand, receptor: [pairs] identities."""
    apart = disagreement(scores)
    beyond = {
        LIGAND: ligand < limits.ligand,
        RECEPTOR: receptor < limits.receptor,
        MEMBERS: apart > (np.inf if limits.disagreement is None else limits.disagreement),
    }
    rows = zip(*beyond.values(), strict=True)
    return np.array(["; ".join(name for name, is_so in zip(beyond, row, strict=True) if is_so) for row in rows], object)


def disagreement(scores: Scores) -> FloatArray:
    """[pairs]: the distance of the highest and the lowest probability of the members; 0 of a single one."""
    return np.asarray(np.ptp(list(scores.probabilities.values()), axis=0), dtype=np.float64)
