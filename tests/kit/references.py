"""Every metric a second time, from its definition or from another library, and ties by trying all of their orders."""

from __future__ import annotations

import itertools
import math
from functools import partial

import numpy as np
import scipy.stats
import torch
from sklearn.metrics import brier_score_loss
from torchmetrics.functional.classification import binary_calibration_error
from torchmetrics.functional.retrieval import retrieval_hit_rate


def brute_auroc(positive, scores):
    difference = scores[positive][:, None] - scores[~positive][None, :]
    return np.mean((difference > 0) + 0.5 * (difference == 0))


def brute_average_precision(positive, scores):
    total, last_recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        called = scores >= threshold
        recall = np.mean(called[positive])
        total += (recall - last_recall) * np.mean(positive[called])
        last_recall = recall
    return total


def brute_f1(positive, scores, threshold):
    called = scores >= threshold
    tp = np.count_nonzero(called & positive)
    all_calls = np.count_nonzero(called) + np.count_nonzero(positive)
    return 2 * tp / all_calls if all_calls else 0.0


def brute_mcc(positive, scores, threshold):
    called = scores >= threshold
    constant = len(set(called)) < 2 or len(set(positive)) < 2
    return 0.0 if constant else np.corrcoef(positive, called)[0, 1]


def brier(positive, probability):
    return brier_score_loss(positive, probability, pos_label=True)


def calibration_error(positive, probability):
    """Of torchmetrics, which gives probabilities of exactly 1 a bin of their own: use others."""
    return float(binary_calibration_error(torch.tensor(probability), torch.tensor(positive).long(), n_bins=15))


def spearman(label, scores):
    return scipy.stats.spearmanr(label, scores).statistic


def pearson(label, scores):
    return scipy.stats.pearsonr(label, scores).statistic


def over_orders(figure, positive, scores):
    """The mean of `figure(positive in descending order of score)` over all orders of tied pairs."""
    ties = [positive[scores == value] for value in sorted(set(scores), reverse=True)]
    orders = itertools.product(*(itertools.permutations(tie) for tie in ties))
    return np.mean([figure(np.concatenate(order)) for order in orders])


def enrichment_of(ordered, percent):
    best = ordered[: math.ceil(ordered.size * percent / 100)]
    return best.mean() / ordered.mean()


def bedroc_of(ordered, alpha=20.0):
    """Equation 36 of Truchon & Bayly (2007), as it is printed."""
    size, num = ordered.size, int(ordered.sum())
    share = num / size
    total = np.exp(-alpha * (np.flatnonzero(ordered) + 1) / size).sum()
    random_sum = share * (1 - math.exp(-alpha)) / (math.exp(alpha / size) - 1)
    factor = share * math.sinh(alpha / 2) / (math.cosh(alpha / 2) - math.cosh(alpha / 2 - alpha * share))
    return total / random_sum * factor + 1 / (1 - math.exp(alpha * (1 - share)))


def hit_of(ordered, k):
    """Of torchmetrics."""
    scores = torch.arange(ordered.size, 0, -1).double()
    return float(retrieval_hit_rate(scores, torch.tensor(ordered.copy()), top_k=min(k, ordered.size)))


def hit_rate(positive, scores, receptor, k):
    rates = [
        over_orders(partial(hit_of, k=k), positive[receptor == r], scores[receptor == r])
        for r in set(receptor)
        if positive[receptor == r].any()
    ]
    return np.mean(rates) if rates else math.nan
