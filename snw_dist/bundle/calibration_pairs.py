"""The calibration pairs of a bundle: by which a screen knows how many of its hits are false.

They are the pairs of one held-out split, with their labels and the scores of the bundle. Nothing else may have been
decided by them: `train` made the weights; `val` chose among them and made threshold and calibration. The scores of both
would be too good, and more hits would be false than promised.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError
from snw_dist.bundle.format import CALIBRATION_PAIRS
from snw_dist.bundle.members import Chosen
from snw_dist.bundle.read import Bundle

DECIDING = ("train", "val")
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_MOST = 10_000_000
_Sequences = Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=_MOST)]
_Positions = Annotated[list[Annotated[int, Field(strict=True, ge=0)]], Field(max_length=_MOST)]


@dataclass(config=_STRICT, frozen=True)
class CalibrationPairs:
    """The content of `calibration_pairs.json`; the last four lists are [pairs]."""

    split: str
    ligands: _Sequences
    """Distinct sequences."""
    receptors: _Sequences
    ligand: _Positions
    """Which of the ligands."""
    receptor: _Positions
    positive: list[Annotated[bool, Field(strict=True)]]
    score: list[Annotated[float, Field(strict=True)]]
    """Of the one member, or of several the mean of their probabilities."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len({len(values) for values in (self.ligand, self.receptor, self.positive, self.score)}) != 1:
            raise ValueError("lists of different lengths")
        if max(self.ligand, default=-1) >= len(self.ligands) or max(self.receptor, default=-1) >= len(self.receptors):
            raise ValueError("a pair names a sequence that is not there")
        return self


def calibration_pairs_of(chosen: Chosen, split: str) -> dict[str, Any]:
    """The content of `calibration_pairs.json`: the pairs of a split as the members together have scored them.

    Raises `InputError` for a split that has decided something, that is not there, or has no negative pair, and for
    members of several folds, from all of which no pair was held out.
    """
    option = f"--calibration-split {split}"
    if split in DECIDING:
        raise InputError(
            f"{option}: {' and '.join(DECIDING)} have made and chosen the network, so its scores of them are too good. "
            "Name a split that is held out from everything else."
        )
    if len(chosen.folds) > 1:
        raise InputError(f"{option}: each pair was held out from one fold alone. Take members of one fold: --members A")
    first = chosen.members[0].predictions
    wanted = (first["split"] == split).to_numpy()
    if not wanted.any():
        have = ", ".join(sorted(set(first["split"]) - set(DECIDING)))
        raise InputError(f"{option}: no measured pairs of that split. There are: {have or 'none'}.")
    if first["positive"][wanted].all():
        raise InputError(f"{option}: none of its pairs is negative, and by these false hits are counted.")
    key = "score" if len(chosen.members) == 1 else "probability"
    score = np.mean([member.predictions[key].to_numpy(np.float64)[wanted] for member in chosen.members], axis=0)
    pairs = first[wanted]
    ligands, ligand = _numbered(pairs["ligand"])
    receptors, receptor = _numbered(pairs["receptor"])
    return {
        "split": split,
        "ligands": ligands,
        "receptors": receptors,
        "ligand": ligand,
        "receptor": receptor,
        "positive": pairs["positive"].tolist(),
        "score": score.tolist(),
    }


def read_calibration_pairs(bundle: Bundle) -> CalibrationPairs | None:
    """Those of a bundle, or None where it has none; raises `CorruptError` where they are damaged."""
    if CALIBRATION_PAIRS not in bundle.says.files:
        return None
    source = str(bundle.folder / CALIBRATION_PAIRS)
    return validated(CalibrationPairs, bundle.read_json(CALIBRATION_PAIRS), source, refuse=CorruptError)


def _numbered(sequences: Iterable[str]) -> tuple[list[str], list[int]]:
    """The distinct ones in the order of the alphabet, and which of them each is."""
    distinct, which = np.unique(np.array(list(sequences), dtype=object).astype(str), return_inverse=True)
    return distinct.tolist(), which.tolist()
