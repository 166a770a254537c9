"""The columns that say how far a row can be trusted, and what is said once of a table where that is little."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hpc.disk.strict import validated
from hpc.errors import CorruptError
from hpc.told import warn
from snw_dist.arrays import FloatArray
from snw_dist.bundle.format import TRAINED_ON, TRUST
from snw_dist.bundle.nearest import Known, TrainedOn, sides_of
from snw_dist.bundle.read import Bundle
from snw_dist.bundle.trust import Trust
from snw_dist.scoring.abstain import reasons
from snw_dist.scoring.columns import Column, Scored
from snw_dist.scoring.interval import probability_interval

_SHOWN = 30


def trust_columns(bundle: Bundle) -> list[Column]:
    """The columns of a bundle, in their order. They remember what was compared, and what was said already.

    Says so where the bundle has no probabilities. Raises `CorruptError` for a wrong `trained_on.json` or `trust.json`.
    """
    trust = validated(Trust, bundle.read_json(TRUST), str(bundle.folder / TRUST), refuse=CorruptError)
    trained = validated(TrainedOn, bundle.read_json(TRAINED_ON), str(bundle.folder / TRAINED_ON), refuse=CorruptError)
    sides = sides_of(trained, bundle.says.sequences.symmetric)
    if min(trust.num_positive, trust.num_negative) < 2:
        warn(
            f"{bundle.says.name}: validation had {trust.num_positive:,} positive and {trust.num_negative:,} negative "
            "pairs, too few to calibrate. snw_probability is the score as it is, and no probability: only its order "
            "means something."
        )
    columns = []
    band = np.array(trust.band, dtype=np.float64)
    if band.size:
        for place, end in enumerate(("low", "high")):
            meaning = f"{end} end of the 95 % interval of the probability, of calibration and members"
            columns.append(Column(f"snw_probability_{end}", meaning, _interval(band, place)))
    for place, side in enumerate(("ligand", "receptor")):
        name, known = f"snw_nearest_{side}", sides[place]
        columns.append(Column(name, f"closest {side} of training", _nearest(known, place), kind=pa.string()))
        meaning = f"of the {side} and {name}: 1 - changed residues / length of the longer one"
        columns.append(Column(f"{name}_identity", meaning, _identity(known, place)))
    meaning = "why the row should not be trusted; empty where nothing speaks against it"
    return [*columns, Column("snw_abstain", meaning, _Abstain(trust, sides), kind=pa.string())]


def _interval(band: FloatArray, place: int) -> Callable[[Scored], FloatArray]:
    return lambda scored: probability_interval(scored.scores, band)[place]


def _side(scored: Scored, place: int) -> Sequence[str]:
    return (scored.ligands, scored.receptors)[place]


def _nearest(known: Known, place: int) -> Callable[[Scored], npt.NDArray[Any]]:
    return lambda scored: np.array([one.sequence for one in known.nearest(_side(scored, place))], dtype=object)


def _identity(known: Known, place: int) -> Callable[[Scored], FloatArray]:
    return lambda scored: np.array([one.identity for one in known.nearest(_side(scored, place))], dtype=np.float64)


class _Abstain:
    """Makes `snw_abstain`; the first receptor that is outside training is said."""

    def __init__(self, trust: Trust, sides: tuple[Known, Known]) -> None:
        self._limits, self._said = trust.limits, False
        self._ligand, self._receptor = (_identity(known, place) for place, known in enumerate(sides))

    def __call__(self, scored: Scored) -> npt.NDArray[Any]:
        receptor = self._receptor(scored)
        if not self._said and (receptor < self._limits.receptor).any():
            self._said = True
            worst = int(receptor.argmin())
            letters = scored.receptors[worst]
            name = letters if len(letters) <= _SHOWN else f"{letters[:_SHOWN]}..."
            name = scored.receptor_ids[worst] if scored.receptor_ids else name
            warn(
                f"receptor {name} is farther from those of training (identity to the closest: {receptor[worst]:.2f}) "
                "than validation has tested: nothing vouches for the order of its ligands, nor for their probability. "
                "snw_abstain names all such rows."
            )
        return reasons(self._limits, self._ligand(scored), receptor, scored.scores)
