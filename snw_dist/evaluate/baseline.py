"""Gradient boosting on one-hot sequences: what a model must beat, and shortcuts to tell it from.

A network that scores like 'ligand' or 'receptor' alone has learned which ligands or receptors bind in general
and not which of them bind each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor

from hpc.errors import InputError
from snw_dist.evaluate.metrics import BoolArray, FloatArray

Inputs = Literal["ligand", "receptor", "both"]
ALL_INPUTS: tuple[Inputs, ...] = ("both", "ligand", "receptor")
Bytes = npt.NDArray[np.uint8]

LIGAND_POSITIONS = 50
"""Ligand residues seen from each end: ligands are short and of uneven length, and both ends matter."""
RECEPTOR_POSITIONS = 400
"""Receptor residues seen, from the N-terminus."""
TRAIN_CELLS = 2**27
"""Most rows x columns in training: scikit-learn holds them as float64, so 1 GiB."""
_PREDICT_CELLS = 2**24


def position_codes(sequences: Sequence[str], left: int, right: int) -> Bytes:
    """ASCII letters counted from the N-terminus, then from the C-terminus; 0 where there is no residue.

    Returns [sequences, positions] uint8, of up to `left` + `right` positions, fewer if the longest is
    shorter.
    """
    longest = max((len(sequence) for sequence in sequences), default=0)
    left, right = min(left, longest), min(right, longest)
    rows = [sequence[:left].ljust(left, "\0") + sequence[::-1][:right].ljust(right, "\0") for sequence in sequences]
    raw = np.frombuffer("".join(rows).encode("ascii"), dtype=np.uint8)
    return raw.reshape(len(rows), left + right)


def varying_columns(codes: Bytes) -> tuple[npt.NDArray[np.intp], Bytes]:
    """The (position, letter) of each one-hot column that is not constant over the rows of `codes`.

    codes: [sequences, positions] uint8. 'No residue' (0) is a letter too: it tells the length.
    """
    positions: list[int] = []
    letters: list[int] = []
    for position in range(codes.shape[1]):
        present = np.flatnonzero(np.bincount(codes[:, position], minlength=256))
        if present.size > 1:
            positions += [position] * present.size
            letters += present.tolist()
    return np.array(positions, dtype=np.intp), np.array(letters, dtype=np.uint8)


class _Side:
    """The one-hot columns of one side of the pair; each distinct sequence is encoded once."""

    def __init__(self, sequences: Sequence[str], train: npt.NDArray[np.intp], left: int, right: int) -> None:
        rows: dict[str, int] = {}
        self.row = np.array([rows.setdefault(sequence, len(rows)) for sequence in sequences], dtype=np.intp)
        self.codes = position_codes(list(rows), left, right)
        self.positions, self.letters = varying_columns(self.codes[np.unique(self.row[train])])

    def one_hot(self, pairs: npt.NDArray[np.intp]) -> BoolArray:
        """[pairs, columns] bool."""
        equal: BoolArray = self.codes[self.row[pairs]][:, self.positions] == self.letters
        return equal


def baseline_scores(
    ligand_sequences: Sequence[str],
    receptor_sequences: Sequence[str],
    label: npt.ArrayLike,
    train_mask: npt.ArrayLike,
    inputs: Inputs = "both",
    seed: int = 0,
    max_train_cells: int = TRAIN_CELLS,
) -> FloatArray:
    """Scores of every pair by a regressor trained on the label of the training pairs.

    ligand_sequences, receptor_sequences: one sequence for each pair; label: [pairs] float; train_mask:
    [pairs] bool. Returns [pairs] float64, on the scale of the label. The regressor is scikit-learn's
    HistGradientBoostingRegressor as it comes, on one-hot columns of the first 50 and last 50 ligand positions
    and the first 400 receptor positions, without those that are constant in training. Where rows x columns
    would pass `max_train_cells` a random part of the training pairs is used. Deterministic from `seed`.
    """
    labels, mask = np.asarray(label, dtype=np.float64), np.asarray(train_mask, dtype=np.bool_)
    num_pairs = len(ligand_sequences)
    if len(receptor_sequences) != num_pairs or labels.shape != (num_pairs,) or mask.shape != (num_pairs,):
        raise ValueError("ligands, receptors, label and train_mask must have one entry for each pair")
    if inputs not in ALL_INPUTS:
        raise ValueError(f"inputs {inputs!r}: must be one of {', '.join(ALL_INPUTS)}")
    train = np.flatnonzero(mask)
    if train.size < 2:
        raise InputError(
            f"the baseline needs at least 2 training pairs, got {train.size}; set evaluate.baseline to false."
        )
    sides = []
    if inputs != "receptor":
        sides.append(_Side(ligand_sequences, train, LIGAND_POSITIONS, LIGAND_POSITIONS))
    if inputs != "ligand":
        sides.append(_Side(receptor_sequences, train, RECEPTOR_POSITIONS, 0))
    num_columns = sum(side.positions.size for side in sides)
    if num_columns == 0:  # one and the same sequence in training: nothing to learn from but the mean
        return np.full(num_pairs, labels[train].mean())

    def table(pairs: npt.NDArray[np.intp]) -> BoolArray:
        return np.concatenate([side.one_hot(pairs) for side in sides], axis=1)

    most = max(2, max_train_cells // num_columns)
    if train.size > most:
        train = np.sort(np.random.default_rng(seed).choice(train, most, replace=False))
    model = HistGradientBoostingRegressor(random_state=seed).fit(table(train), labels[train])
    chunk = max(1, _PREDICT_CELLS // num_columns)
    pairs = np.arange(num_pairs)
    parts = [model.predict(table(pairs[start : start + chunk])) for start in range(0, num_pairs, chunk)]
    return np.concatenate(parts).astype(np.float64, copy=False)
