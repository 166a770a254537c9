"""Whether two groups of pairs differ in the length or the composition of the sequences of one side.

A difference is a finding when it is large enough to matter and more than chance. Pairs are counted for its size,
distinct sequences for its chance: a thousand pairs of one sequence tell about one sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency, kstwobign

from snw_dist.data.findings import MAX_EXAMPLES, AuditSide, Finding, finding

_CHANCE = 1e-3
_LENGTH_SHIFT = 0.2
"""Kolmogorov-Smirnov distance: the most by which the shares of pairs with less than some length differ."""
_COMPOSITION_SHIFT = 0.1
"""Total variation distance: the share of residues that would have to be others."""
_AT_ONCE = 10_000


def shifts(side: AuditSide, where: str, one: NDArray[np.int64], other: NDArray[np.int64]) -> Iterator[Finding]:
    """Compare two groups of pairs, given as the distinct sequence of each; counts the pairs of the first."""
    if len(one) == 0 or len(other) == 0:
        return
    where, total = f"{side.name} of {where}", len(one) + len(other)
    used = np.unique(np.concatenate([one, other]))
    pairs = np.array([np.bincount(np.searchsorted(used, group), minlength=len(used)) for group in (one, other)])
    sequences = [side.distinct.sequences[i] for i in used.tolist()]
    lengths = np.array([len(sequence) for sequence in sequences])
    if examples := _length_shift(pairs, lengths):
        yield finding("length_shift", where, len(one), total, examples)
    if examples := _composition_shift(pairs, lengths, sequences):
        yield finding("composition_shift", where, len(one), total, examples)


def _length_shift(pairs: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[str]:
    """How the lengths of `pairs[group, sequence]` differ; empty where they do not."""
    below = np.array([np.cumsum(np.bincount(lengths, weights=group)) / group.sum() for group in pairs])
    distance = np.abs(below[0] - below[1]).max()
    num = np.count_nonzero(pairs, axis=1)
    if distance < _LENGTH_SHIFT or kstwobign.sf(distance * np.sqrt(num.prod() / num.sum())) >= _CHANCE:
        return []
    means = " against ".join(f"{np.average(lengths, weights=group):.1f}" for group in pairs)
    return [f"mean {means} residues", f"Kolmogorov-Smirnov distance {distance:.2f}"]


def _composition_shift(pairs: NDArray[np.int64], lengths: NDArray[np.int64], sequences: Sequence[str]) -> list[str]:
    counts = _letters(pairs, sequences)
    shares = counts / counts.sum(1, keepdims=True)
    distance = np.abs(shares[0] - shares[1]).sum() / 2
    residues = (pairs > 0) @ lengths  # of distinct sequences
    expected = (shares * residues[:, None])[:, counts.sum(0) > 0]
    if distance < _COMPOSITION_SHIFT or chi2_contingency(expected).pvalue >= _CHANCE:
        return []
    most = np.argsort(-np.abs(shares[0] - shares[1]), kind="stable")[: MAX_EXAMPLES - 1].tolist()
    examples = [f"{chr(ord('A') + i)} {shares[0, i]:.1%} against {shares[1, i]:.1%}" for i in most]
    return [*examples, f"total variation distance {distance:.2f}"]


def _letters(pairs: NDArray[np.int64], sequences: Sequence[str]) -> NDArray[np.int64]:
    """How often each of the 26 letters occurs in the pairs of each group."""
    counts = np.zeros((len(pairs), 26), np.int64)
    for begin in range(0, len(sequences), _AT_ONCE):
        some = sequences[begin : begin + _AT_ONCE]
        letters = np.frombuffer("".join(some).encode(), np.uint8) - ord("A")
        which = np.repeat(np.arange(len(some)), [len(sequence) for sequence in some])
        each = np.bincount(which * 26 + letters, minlength=len(some) * 26).reshape(-1, 26)
        counts += pairs[:, begin : begin + _AT_ONCE] @ each
    return counts
