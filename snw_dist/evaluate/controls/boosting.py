"""Gradient boosting on plain features of the sequences: what a model must beat, and shortcuts to tell it from.

A network that scores like boosting on the ligand or on the receptor alone has learned which of them bind in general
and not which of them bind each other; one that scores like boosting on composition has learned no order of residues.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

from hpc.errors import InputError
from hpc.told import tell
from snw_dist.arrays import FloatArray
from snw_dist.evaluate.controls.learned import Learned

Index = npt.NDArray[np.intp]
Features = npt.NDArray[np.generic]

LIGAND_POSITIONS = 50
"""Ligand residues seen from each end: ligands are short and of uneven length, and both ends matter."""
RECEPTOR_POSITIONS = 400
"""Receptor residues seen, from the N-terminus."""
TRAIN_CELLS = 2**27
"""Most rows x columns in training: some 70 s of one processor, and 1 GiB, as scikit-learn holds them as float64."""
_PREDICT_CELLS = 2**24
MOST_VALUES = 255
"""Distinct values of a column that scikit-learn tells apart, unless told that there are fewer."""


@dataclasses.dataclass(frozen=True)
class SideFeatures:
    """The features of one side of pairs; each distinct sequence is described once."""

    row: Index
    """[pairs]: the distinct sequence of each pair."""
    of_rows: Callable[[Index], Features]
    """Rows -> [rows, columns]."""
    num_columns: int
    num_values: int = MOST_VALUES
    """Most distinct values of a column that are told apart."""


def one_hot(sequences: Sequence[str], num_train: int, left: int, right: int) -> SideFeatures:
    """A column for each letter at each position, without those that tell nothing more over the first `num_train` pairs.

    These are the constant ones, and of equal ones all but the first, which is the one that boosting would choose: few
    receptors have thousands of columns and hundreds of distinct ones.
    """
    row, distinct = _distinct(sequences)
    codes = position_codes(distinct, left, right)
    known = codes[np.unique(row[:num_train])]
    positions, letters = distinct_columns(known, *varying_columns(known))
    return SideFeatures(row, lambda rows: codes[rows][:, positions] == letters, positions.size, num_values=2)


def composition(sequences: Sequence[str]) -> SideFeatures:
    """The length, and the share of each letter that occurs."""
    row, distinct = _distinct(sequences)
    counts = [Counter(sequence) for sequence in distinct]
    letters = sorted(set().union(*counts))
    table = np.array([[c[letter] for letter in letters] for c in counts], dtype=np.float64)
    lengths = table.sum(axis=1, keepdims=True)
    features = np.hstack([lengths, table / lengths])
    return SideFeatures(row, lambda rows: features[rows], features.shape[1])


def position_codes(sequences: Sequence[str], left: int, right: int) -> npt.NDArray[np.uint8]:
    """ASCII letters counted from the N-terminus, then from the C-terminus; 0 where there is no residue.

    Returns [sequences, positions] uint8, of up to `left` + `right` positions, fewer if the longest is
    shorter.
    """
    longest = max((len(sequence) for sequence in sequences), default=0)
    left, right = min(left, longest), min(right, longest)
    rows = [sequence[:left].ljust(left, "\0") + sequence[::-1][:right].ljust(right, "\0") for sequence in sequences]
    raw = np.frombuffer("".join(rows).encode("ascii"), dtype=np.uint8)
    return raw.reshape(len(rows), left + right)


def varying_columns(codes: npt.NDArray[np.uint8]) -> tuple[Index, npt.NDArray[np.uint8]]:
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


def distinct_columns(
    codes: npt.NDArray[np.uint8], positions: Index, letters: npt.NDArray[np.uint8]
) -> tuple[Index, npt.NDArray[np.uint8]]:
    """Of one-hot columns that are equal in all rows of `codes` the first.

    `codes`: [rows, positions]; `positions`, `letters`: [columns], and shorter in what is returned.
    """
    first: dict[bytes, int] = {}
    for i, (position, letter) in enumerate(zip(positions.tolist(), letters.tolist(), strict=True)):
        first.setdefault(hashlib.sha256(np.packbits(codes[:, position] == letter).tobytes()).digest(), i)
    kept = list(first.values())
    return positions[kept], letters[kept]


def one_hot_scores(
    train: pd.DataFrame,
    held_out: pd.DataFrame,
    sides: Sequence[str] = ("ligand", "receptor"),
    seed: int = 0,
    max_train_cells: int = TRAIN_CELLS,
) -> Learned:
    """Scores of the held-out pairs by boosting on one-hot columns of one side or both.

    Of the ligand the first and the last 50 residues are seen, of the receptor the first 400.
    """
    ends = {"ligand": (LIGAND_POSITIONS, LIGAND_POSITIONS), "receptor": (RECEPTOR_POSITIONS, 0)}
    features = [one_hot([*train[side], *held_out[side]], len(train), *ends[side]) for side in sides]
    return boosting_scores(features, train["label"].to_numpy(), len(held_out), seed, max_train_cells)


def composition_scores(train: pd.DataFrame, held_out: pd.DataFrame, seed: int = 0) -> Learned:
    """Scores of the held-out pairs by boosting on length and composition of both sides."""
    features = [composition([*train[side], *held_out[side]]) for side in ("ligand", "receptor")]
    return boosting_scores(features, train["label"].to_numpy(), len(held_out), seed)


def boosting_scores(
    sides: Sequence[SideFeatures], label: FloatArray, num_held_out: int, seed: int, max_train_cells: int = TRAIN_CELLS
) -> Learned:
    """Scores of the held-out pairs by a regressor trained on the labels of the training pairs.

    The features are those of the training pairs, one a label, followed by the held-out ones. The scores are
    [held-out pairs] float64, on the scale of the label. The regressor is scikit-learn's HistGradientBoostingRegressor
    as it comes. Where rows x columns would pass `max_train_cells` a random part of the training pairs is used; that is
    told, and counted in what is returned. Deterministic from `seed`. Raises `InputError` when there are fewer than 2
    training pairs.
    """
    train = np.arange(label.size)
    if train.size < 2:
        raise InputError(
            f"the controls need at least 2 training pairs, got {train.size}; leave them out of evaluate.controls."
        )
    num_columns = sum(side.num_columns for side in sides)
    if num_columns == 0:  # one and the same sequence in training: nothing to learn from but the mean
        return Learned(np.full(num_held_out, label.mean()), label.size, label.size)

    def table(pairs: Index) -> Features:
        return np.concatenate([side.of_rows(side.row[pairs]) for side in sides], axis=1)

    most = max(2, max_train_cells // num_columns)
    if train.size > most:
        tell(
            f"gradient boosting learns from {most:,} of {train.size:,} training pairs, drawn by chance: "
            f"{num_columns:,} columns each, {max_train_cells:,} values at most"
        )
        train = np.sort(np.random.default_rng(seed).choice(train, most, replace=False))
    # Its histograms are as long as the number of values, whatever a column holds: with 255 where there are two, half
    # of the time goes into zeros.
    num_values = max(side.num_values for side in sides)
    model = HistGradientBoostingRegressor(random_state=seed, max_bins=num_values).fit(table(train), label[train])
    chunk = max(1, _PREDICT_CELLS // num_columns)
    pairs = label.size + np.arange(num_held_out)
    parts = [model.predict(table(pairs[start : start + chunk])) for start in range(0, num_held_out, chunk)]
    scores = np.concatenate(parts or [np.empty(0)]).astype(np.float64, copy=False)
    return Learned(scores, train.size, label.size)


def _distinct(sequences: Sequence[str]) -> tuple[Index, list[str]]:
    """The number of each sequence among the distinct ones, in order of appearance, and these."""
    rows: dict[str, int] = {}
    row = np.array([rows.setdefault(sequence, len(rows)) for sequence in sequences], dtype=np.intp)
    return row, list(rows)
