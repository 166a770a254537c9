"""From scores to labels and weights, once it is known which pairs are trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from snw_dist.data.records.pairs import PairTable
from snw_dist.data.scores.decoys import noise_weights
from snw_dist.data.scores.transform import LabelTransform, LogAffinity, fit_transform


def positives(pairs: PairTable, positive_from: float) -> NDArray[np.bool_]:
    """Bound or not `[pair]`: what the binary column says, or else whether the label is at least `positive_from`."""
    return np.where(pairs.binary >= 0, pairs.binary == 1, pairs.label >= positive_from)


def undetermined(pairs: PairTable, positive_from: float) -> NDArray[np.bool_]:
    """Pairs `[pair]` whose affinity is only known to lie above or below a value that leaves open whether they bind.

    "> 100 nM" may bind with 200 nM or not at all; the label of 100 nM would be a lie about most of what it stands for.
    """
    if pairs.scores is None:
        return np.zeros(len(pairs), np.bool_)
    bound = LogAffinity().to_label(pairs.scores.score)
    above = (pairs.scores.inequality > 0) & (bound >= positive_from)
    below = (pairs.scores.inequality < 0) & (bound < positive_from)
    return (pairs.binary < 0) & (above | below)


def with_labels(
    pairs: PairTable,
    receptor_ids: Sequence[str],
    train: NDArray[np.bool_],
    *,
    kind: str,
    per_receptor: bool,
    clip: float,
) -> tuple[PairTable, LabelTransform]:
    """Labels and weights from `pairs.scores`, by a transform that is fitted on the pairs of `train` alone.

    The noise of a label is half the difference that the spread of the decoys makes: labels of the score plus and minus
    the spread. So it is small where the label is clipped, and the pair certain. `train`: [num_pairs], a mask.
    """
    assert pairs.scores is not None
    score, spread = pairs.scores.score, pairs.scores.spread
    ids = np.asarray(receptor_ids, object)[pairs.receptor]
    transform = fit_transform(kind, score[train], ids[train].tolist(), per_receptor=per_receptor, clip=clip)
    label = transform.to_label(score, ids)
    weight = np.ones(len(pairs))
    if np.isfinite(spread).any():
        known = np.nan_to_num(spread)
        noise = (transform.to_label(score - known, ids) - transform.to_label(score + known, ids)) / 2
        weight = noise_weights(np.where(np.isfinite(spread), noise, np.nan), train)
    note = f"Labels: {kind}{' for each receptor' if per_receptor else ''}"
    own = f" ({len(transform.of_receptor):,} have their own)" if per_receptor else ""
    fitted = "" if kind == "log_affinity" else f", fitted on {int(train.sum()):,} train pairs"
    return dataclasses.replace(pairs, label=label, weight=weight).with_notes(f"{note}{own}{fitted}."), transform
