"""What a model can know from one side alone, and what it has seen of that side before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from snw_dist.data.audit.findings import MAX_EXAMPLES, AuditSide, Finding, finding

_SIGNIFICANT = 2.58
"""Standard errors: one chance in a hundred."""
_BIASED = 0.55
"""A one-side AUROC that is significantly above this is a finding."""
_LOPSIDED = 2.0
"""Standard errors by which the share of positives of a sequence is off, for it to be counted."""


class Labelled(NamedTuple):
    """Some pairs as columns, each [num_pairs]."""

    code: NDArray[np.int64]
    """The distinct sequence of one side."""
    positive: NDArray[np.bool_]


def identical_sequences(side: AuditSide) -> Iterator[Finding]:
    """Sequences that have several ids; counts these ids."""
    code = side.distinct.code
    count = np.bincount(code, minlength=len(side.distinct.sequences))
    repeated = np.flatnonzero(count > 1)
    if len(repeated):
        same = [np.flatnonzero(code == sequence)[:MAX_EXAMPLES].tolist() for sequence in repeated[:MAX_EXAMPLES]]
        examples = [" = ".join(side.ids[i] for i in some) for some in same]
        yield finding("identical_sequences", side.name, count[repeated].sum(), len(code), examples)


def only_negative(
    side: AuditSide, code: NDArray[np.int64], positive: NDArray[np.bool_], splits: Mapping[str, NDArray[np.bool_]]
) -> Iterator[Finding]:
    """Sequences `code[pair]` without a positive pair, those with most pairs first; says how many each split has.

    `code`, `positive` and the masks in `splits`: [num_pairs].
    """
    num_pairs, num_positive = np.bincount(code), np.bincount(code, weights=positive)
    found = np.flatnonzero((num_pairs > 0) & (num_positive == 0))
    if len(found):
        most = found[np.argsort(-num_pairs[found], kind="stable")][:MAX_EXAMPLES].tolist()
        examples = [f"{side.example(i)} ({num_pairs[i]:,} pairs)" for i in most]
        parts = [f"{name} {len(np.setdiff1d(code[rows], code[rows & positive])):,}" for name, rows in splits.items()]
        more = f" Within each split, they are: {', '.join(parts)}."
        yield finding("only_negative", side.name, len(found), (num_pairs > 0).sum(), examples, more)


def degree_bias(side: AuditSide, code: NDArray[np.int64], positive: NDArray[np.bool_]) -> Iterator[Finding]:
    """How well the labels of its other pairs, or their number alone, tell the label of each train pair.

    Counts sequences whose share of positives is far from that of all (Chatterjee et al., Nat. Commun. 2023, 14:1989:
    the degree ratio that networks learn instead of binding). `code`, the sequence of each pair, and `positive`:
    [num_pairs].
    """
    if positive.all() or not positive.any():
        return
    num_pairs, num_positive = np.bincount(code), np.bincount(code, weights=positive)
    share = positive.mean()
    others = (num_positive[code] - positive + share) / num_pairs[code]  # one pair of average label in place of its own
    by_number = roc_auc_score(positive, num_pairs[code])
    auroc = max(roc_auc_score(positive, others), by_number, 1 - by_number)
    if auroc - _SIGNIFICANT * _standard_error(auroc, positive, side.ends) <= _BIASED:
        return
    expected = num_pairs * share
    z = np.abs(num_positive - expected) / np.sqrt(expected * (1 - share)).clip(min=1e-9)
    one_label = (num_pairs > 1) & ((num_positive == 0) | (num_positive == num_pairs))
    found = np.flatnonzero((num_pairs > 0) & ((z > _LOPSIDED) | one_label))
    most = found[np.argsort(-z[found], kind="stable")][:MAX_EXAMPLES].tolist()
    examples = [f"{side.example(i)} ({num_positive[i]:,.0f} of {num_pairs[i]:,} positive)" for i in most]
    more = f" AUROC of one side {auroc:.2f}, {share:.0%} positive."
    yield finding("degree_bias", side.name, len(found), (num_pairs > 0).sum(), examples, more)


def degree_turned_round(side: AuditSide, where: str, train: Labelled, held_out: Labelled) -> Iterator[Finding]:
    """How well it tells the label of a held-out pair that its sequence was seldom positive in train.

    So it is where each sequence has about as many negative pairs as positive ones, as dealt negatives have: what train
    has too many of is missing elsewhere. Counts the sequences of the held-out pairs that train has too.
    """
    if held_out.positive.all() or not held_out.positive.any():
        return
    length = 1 + max(train.code.max(initial=0), held_out.code.max())
    num_pairs = [np.bincount(pairs.code, minlength=length) for pairs in (train, held_out)]
    num_positive = [np.bincount(pairs.code, weights=pairs.positive, minlength=length) for pairs in (train, held_out)]
    share = train.positive.mean()
    in_train = (num_positive[0] + share) / (num_pairs[0] + 1)  # one pair of average label more: unseen ones say nothing
    auroc = 1 - roc_auc_score(held_out.positive, in_train[held_out.code])
    if auroc - _SIGNIFICANT * _standard_error(auroc, held_out.positive, side.ends) <= _BIASED:
        return
    found = np.flatnonzero((num_pairs[0] > 0) & (num_pairs[1] > 0))
    most = found[np.argsort(-num_pairs[1][found], kind="stable")][:MAX_EXAMPLES].tolist()
    examples = [
        f"{side.example(i)} ({num_positive[0][i]:,.0f} of {num_pairs[0][i]:,} positive in train, "
        f"{num_positive[1][i]:,.0f} of {num_pairs[1][i]:,} here)"
        for i in most
    ]
    more = f" AUROC of one side {auroc:.2f}, turned round: what train has as positive is negative here."
    yield finding("degree_bias", f"{side.name} of {where}", len(found), (num_pairs[1] > 0).sum(), examples, more)


def overlap(side: AuditSide, where: str, held_out: NDArray[np.int64], train: NDArray[np.int64]) -> Iterator[Finding]:
    """Distinct sequences of a split that train has too, and others whose cluster train has.

    `held_out`: [sequences of the split], `train`: [sequences of train], their positions.
    """
    shared = np.isin(held_out, train)
    related = np.zeros(len(held_out), np.bool_)
    if not shared.all():
        cluster = side.distinct.cluster
        related = ~shared & np.isin(cluster[held_out], cluster[train])
    for kind, mask in (("sequence_overlap", shared), ("cluster_overlap", related)):
        if mask.any():
            examples = [side.example(i) for i in held_out[mask][:MAX_EXAMPLES].tolist()]
            yield finding(kind, f"{side.name} of {where}", mask.sum(), len(held_out), examples)


def _standard_error(auroc: float, positive: NDArray[np.bool_], ends: int) -> float:
    """Of an AUROC (Hanley and McNeil, Radiology 1982, 143:29) of pairs that are each there `ends` times."""
    num_positive, num_negative = int(positive.sum()) / ends, int((~positive).sum()) / ends
    both_positive, both_negative = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = auroc * (1 - auroc)
    spread += (num_positive - 1) * (both_positive - auroc**2) + (num_negative - 1) * (both_negative - auroc**2)
    return float(np.sqrt(spread / (num_positive * num_negative)))
