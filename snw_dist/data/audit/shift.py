"""Whether two groups of pairs differ in the length or the composition of the sequences of one side.

A difference is a finding when it is large enough to matter and more than chance. Pairs are counted for its size,
clusters for its chance: a thousand pairs of one family tell about one family. The chance is that of as many independent
sequences as tell as much (Kish's effective sample size).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2, kstwobign

from snw_dist.data.audit.findings import MAX_EXAMPLES, AuditSide, Finding, finding

_CHANCE = 1e-3
_LENGTH_SHIFT = 0.2
"""Kolmogorov-Smirnov distance: the most by which the shares of pairs with less than some length differ."""
_COMPOSITION_SHIFT = 0.1
"""Total variation distance: the share of residues that would have to be others."""
_AT_ONCE = 10_000


def shifts(side: AuditSide, where: str, one: NDArray[np.int64], other: NDArray[np.int64]) -> Iterator[Finding]:
    """Compare two groups of pairs; counts the pairs of the first.

    `one`, `other`: [pairs of the group], the position of each pair's distinct sequence.
    """
    if len(one) == 0 or len(other) == 0:
        return
    where, total = f"{side.name} of {where}", len(one) + len(other)
    used = np.unique(np.concatenate([one, other]))
    pairs = np.array([np.bincount(np.searchsorted(used, group), minlength=len(used)) for group in (one, other)])
    sequences = [side.distinct.sequences[i] for i in used.tolist()]
    lengths = np.array([len(sequence) for sequence in sequences])
    cluster = side.distinct.cluster[used]
    families = np.array([np.bincount(cluster, weights=group) for group in pairs])
    effective = families.sum(1) ** 2 / (families**2).sum(1)
    narrow = 1 / (1 / effective).sum()  # variances of two means add up as in a group of this size
    if examples := _length_shift(pairs, lengths, narrow):
        yield finding("length_shift", where, len(one), total, examples)
    if examples := _composition_shift(pairs, sequences, narrow):
        yield finding("composition_shift", where, len(one), total, examples)


def _length_shift(pairs: NDArray[np.int64], lengths: NDArray[np.int64], effective: float) -> list[str]:
    """How the lengths of `pairs[group, sequence]` differ; empty where they do not (Kolmogorov-Smirnov test)."""
    below = np.array([np.cumsum(np.bincount(lengths, weights=group)) / group.sum() for group in pairs])
    distance = np.abs(below[0] - below[1]).max()
    if distance < _LENGTH_SHIFT or kstwobign.sf(distance * np.sqrt(effective)) >= _CHANCE:
        return []
    means = " against ".join(f"{np.average(lengths, weights=group):.1f}" for group in pairs)
    return [f"mean {means} residues", f"Kolmogorov-Smirnov distance {distance:.2f}"]


def _composition_shift(pairs: NDArray[np.int64], sequences: Sequence[str], effective: float) -> list[str]:
    """How the mean shares of letters differ; empty where they do not.

    Whether that is chance is judged by how much the share of each letter differs between sequences, not by counting
    residues, which come in families.
    """
    total, variance = _letter_shares(pairs / pairs.sum(1, keepdims=True), sequences)
    difference = total[0] - total[1]
    distance = np.abs(difference).sum() / 2
    there = variance > 0
    statistic = (difference[there] ** 2 / variance[there]).sum() * effective
    if distance < _COMPOSITION_SHIFT or chi2.sf(statistic, np.count_nonzero(there) - 1) >= _CHANCE:
        return []
    most = np.argsort(-np.abs(difference), kind="stable")[: MAX_EXAMPLES - 1].tolist()
    examples = [f"{chr(ord('A') + i)} {total[0, i]:.1%} against {total[1, i]:.1%}" for i in most]
    return [*examples, f"total variation distance {distance:.2f}"]


def _letter_shares(
    weights: NDArray[np.float64], sequences: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weighted mean shares `[group, letter]` of the 26 letters, and the variance of each over the sequences."""
    mean, first, second = np.zeros((len(weights), 26)), np.zeros(26), np.zeros(26)
    for begin in range(0, len(sequences), _AT_ONCE):
        some = sequences[begin : begin + _AT_ONCE]
        letters = np.frombuffer("".join(some).encode(), np.uint8) - ord("A")
        lengths = np.array([len(sequence) for sequence in some])
        counts = np.bincount(np.repeat(np.arange(len(some)), lengths) * 26 + letters, minlength=len(some) * 26)
        shares = counts.reshape(-1, 26) / lengths[:, None]
        mean += weights[:, begin : begin + _AT_ONCE] @ shares
        first += shares.sum(0)
        second += (shares**2).sum(0)
    return mean, (second / len(sequences) - (first / len(sequences)) ** 2).clip(min=0)
