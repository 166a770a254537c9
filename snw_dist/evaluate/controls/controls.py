"""The controls: scores that use less than a model of pairs should. What none of them reaches has been learned.

Those of `DATA_CONTROLS` depend on the prepared pairs alone, so they are computed once for any number of models; those
of `MODEL_CONTROLS` are the trained model itself on spoilt input, see `model_scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import get_args

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hpc.told import long_work
from snw_dist.arrays import FloatArray
from snw_dist.config import ControlName
from snw_dist.evaluate.controls.boosting import composition_scores, one_hot_scores
from snw_dist.evaluate.controls.learned import Learned
from snw_dist.evaluate.controls.neighbour import neighbour_scores
from snw_dist.evaluate.measure.held_out import TRAIN

MEANING: dict[ControlName, str] = {
    "boosting": "gradient boosting on one-hot sequences of both sides",
    "ligand": "gradient boosting on the one-hot ligand only",
    "receptor": "gradient boosting on the one-hot receptor only",
    "composition": "gradient boosting on length and composition of both sides",
    "degree": "how often each side was positive in training",
    "neighbour": "mean label of the 20 most similar training pairs",
    "shuffled_receptor": "the model, each ligand with the receptor of another pair of its split",
    "shuffled_ligand": "the model, each receptor with the ligand of another pair of its split",
    "noise": "the model on noise in place of the embeddings, lengths kept",
}
assert list(MEANING) == list(get_args(ControlName))
DATA_CONTROLS: dict[ControlName, Callable[[pd.DataFrame, pd.DataFrame], Learned]] = {
    "boosting": one_hot_scores,
    "ligand": lambda train, held_out: one_hot_scores(train, held_out, ["ligand"]),
    "receptor": lambda train, held_out: one_hot_scores(train, held_out, ["receptor"]),
    "composition": composition_scores,
    "degree": lambda train, held_out: Learned(degree_scores(train, held_out), len(train), len(train)),
    "neighbour": neighbour_scores,
}
MODEL_CONTROLS: tuple[ControlName, ...] = ("shuffled_receptor", "shuffled_ligand", "noise")


def chosen_controls(setting: Collection[ControlName] | None) -> list[ControlName]:
    """The controls that `evaluate.controls` asks for, in the order of `MEANING`: all of them where it is absent."""
    return [name for name in MEANING if setting is None or name in setting]


def data_controls(
    pairs: pd.DataFrame, names: Collection[ControlName], symmetric: bool = False
) -> dict[ControlName, Learned]:
    """Scores of the held-out pairs by each of `names` that is a data control, and what they were learned from.

    pairs: all pairs of `pairs_of`; those of `train` are learned from and the others scored, in their order. Scores
    are on the scale of the label. Where the sides mean nothing (`symmetric`), both orders of each pair are
    learned from, and a score is the mean over both. Deterministic.
    """
    in_train = pairs["split"] == TRAIN
    train, held_out = pairs[in_train], pairs[~in_train]
    if symmetric:
        train, held_out = _both_orders(train), _both_orders(held_out)
    scores = {}
    for name, score in DATA_CONTROLS.items():
        if name in names:
            with long_work(f"control {name}, {len(train):,} pairs of train"):
                found = score(train, held_out)
            mean = found.scores.reshape(2, -1).mean(axis=0) if symmetric else found.scores
            scores[name] = found._replace(scores=mean)
    return scores


def _both_orders(pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs, followed by the same with their sides exchanged."""
    exchanged = pairs.assign(ligand=pairs["receptor"], receptor=pairs["ligand"])
    return pd.concat([pairs, exchanged], ignore_index=True)


def degree_scores(train: pd.DataFrame, held_out: pd.DataFrame) -> FloatArray:
    """[num_pairs]: the chance of a positive from how often either sequence was positive in training, as if independent.

    A network can win much by this alone where some proteins are in positive pairs mostly (Chatterjee et al. 2023).
    Each side's share of positives is taken with one pair more at the share of all, so an unseen side says nothing.
    """
    base = (train["positive"].sum() + 0.5) / (len(train) + 1)
    evidence = np.full(len(held_out), logit(base))
    for side in ("ligand", "receptor"):
        seen = train.groupby(side)["positive"].agg(["sum", "count"])
        share = (seen["sum"] + base) / (seen["count"] + 1)
        evidence += logit(held_out[side].map(share).fillna(base).to_numpy(dtype=np.float64)) - logit(base)
    return np.asarray(expit(evidence), dtype=np.float64)
