"""Losses against their definitions, written out pair by pair, and against their closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from hpc.errors import InputError
from snw_dist.config import LossName, ModelName
from snw_dist.model.legal_losses import IN_BATCH, LOSSES, loss_of
from snw_dist.model.losses import (
    Mining,
    bce_loss,
    complexes_loss,
    contrastive_loss,
    info_nce_loss,
    rank_loss,
    triplet_loss,
)
from snw_dist.model.pair import PairOutput, unit_distance
from snw_dist.predict.batches import Target
from snw_dist.train.objective import Objective

N = 24
LOSS_NAMES: tuple[LossName, ...] = get_args(LossName)[1:]


def output_of(generator: torch.Generator, num_pairs: int = N) -> PairOutput:
    """As no network gives it: with all that any loss needs."""

    def vectors() -> torch.Tensor:
        return functional.normalize(torch.randn(num_pairs, 5, generator=generator, dtype=torch.float64), dim=1)

    ligand, receptor, complexes = vectors(), vectors(), vectors()
    logit = torch.randn(num_pairs, generator=generator, dtype=torch.float64)
    return PairOutput(logit.sigmoid(), unit_distance(ligand, receptor).double(), None, ligand, receptor, complexes)


def target_of(generator: torch.Generator, num_pairs: int = N, hard: bool = False) -> Target:
    """Labels with ties, few receptors, some pairs of weight 0."""
    label = torch.randint(0, 2 if hard else 6, (num_pairs,), generator=generator) / (1 if hard else 5)
    ids = torch.randint(0, 9, (num_pairs,), generator=generator), torch.randint(0, 4, (num_pairs,), generator=generator)
    weight = torch.rand(num_pairs, generator=generator) * (torch.rand(num_pairs, generator=generator) > 0.2)
    return Target(label.double(), *ids, weight.double())


def both(seed: int, hard: bool = False) -> tuple[PairOutput, Target]:
    generator = torch.Generator().manual_seed(seed)
    return output_of(generator), target_of(generator, hard=hard)


def objective(loss: LossName, mining: Mining = "all") -> Objective:
    return Objective(loss, 0.7, 0.3, 0.6, mining)


def mean(values: list[float], weights: list[float]) -> float:
    return float(np.average(values, weights=weights)) if sum(weights) > 0 else 0.0


@pytest.mark.parametrize("margin", [0.5, 1.0, 1.7])
def test_the_closed_form_of_the_contrastive_loss(margin: float) -> None:
    distance = torch.linspace(0, margin * 0.999, 40, dtype=torch.float64)[:, None].expand(40, 11)
    label = torch.linspace(0, 1, 11, dtype=torch.float64).expand(40, 11)
    loss = contrastive_loss(distance, label, margin)
    closed = (distance - (1 - label) * margin) ** 2 + label * (1 - label) * margin**2
    torch.testing.assert_close(loss, closed)
    beyond = torch.tensor([margin, margin + 0.1, 2.0 + margin])
    torch.testing.assert_close(contrastive_loss(beyond, torch.zeros(3), margin), torch.zeros(3))
    torch.testing.assert_close(contrastive_loss(beyond, torch.ones(3), margin), beyond**2)


@pytest.mark.parametrize("label", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_the_best_score_is_the_label(label: float) -> None:
    target = torch.tensor(label, dtype=torch.float64)
    distance = torch.linspace(0, 2, 20001, dtype=torch.float64)
    best = distance[contrastive_loss(distance, target, 1.0).argmin()]
    assert float(1 - best) == pytest.approx(label, abs=1e-3)
    logit = torch.linspace(-9, 9, 20001, dtype=torch.float64)
    best = logit[bce_loss(logit, target.expand_as(logit)).argmin()].sigmoid()
    assert float(best) == pytest.approx(label, abs=1e-3)


def test_binary_cross_entropy_of_hard_labels_is_the_log_likelihood() -> None:
    logit = torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    loss = bce_loss(logit, torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64))
    p = stats.logistic.cdf(logit.numpy())
    np.testing.assert_allclose(loss, [-math.log(p[0]), -math.log(1 - p[1]), -math.log(p[2])])


@pytest.mark.parametrize("mining", get_args(Mining))
@pytest.mark.parametrize("seed", range(5))
def test_triplets_one_by_one(mining: Mining, seed: int) -> None:
    output, target = both(seed, hard=seed > 2)
    d, y, receptor, w = output.distance.tolist(), target.label.tolist(), target.receptor_id, target.weight.tolist()

    def mined(i: int, margin: float, candidates: list[int]) -> float:
        worse = [j for j in candidates if y[i] > y[j] and w[j] > 0]
        if mining == "semi_hard":
            worse = [j for j in worse if d[j] > d[i]]
        elif mining == "hard" and worse:
            worse = [min(worse, key=lambda j: d[j])]
        return mean([max(0.0, d[i] - d[j] + margin * (y[i] - y[j])) for j in worse], [w[j] for j in worse])

    expected = []
    for i in range(N):
        same = [j for j in range(N) if receptor[i] == receptor[j]]
        other = [j for j in range(N) if receptor[i] != receptor[j]]
        expected.append(mined(i, 0.6, same) + mined(i, 0.3, other))
    assert any(value > 0 for value in expected)
    np.testing.assert_allclose(objective("triplet", mining).losses(output, target), expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_info_nce_row_by_row(seed: int) -> None:
    output, target = both(seed)
    y, w = target.label.tolist(), target.weight.tolist()
    ligand, receptor = target.ligand_id.tolist(), target.receptor_id.tolist()
    similar = (output.ligand @ output.receptor.T / 0.3).tolist()
    binding = {(ligand[k], receptor[k]) for k in range(N) if y[k] > 0.5 and w[k] > 0}
    expected = []
    for i in range(N):
        wrong = [j for j in range(N) if w[j] > 0]
        rows = [similar[i][j] for j in wrong if receptor[j] != receptor[i] and (ligand[i], receptor[j]) not in binding]
        columns = [similar[j][i] for j in wrong if ligand[j] != ligand[i] and (ligand[j], receptor[i]) not in binding]
        surprises = [
            math.log(sum(math.exp(s) for s in [similar[i][i], *others])) - similar[i][i] for others in (rows, columns)
        ]
        expected.append(y[i] * sum(surprises) / 2)
    np.testing.assert_allclose(objective("info_nce").losses(output, target), expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_pairs_of_pairs_one_by_one(seed: int) -> None:
    output, target = both(seed)
    y, w, d = target.label.tolist(), target.weight.tolist(), output.distance.tolist()
    expected = []
    for i in range(N):
        lower = [j for j in range(N) if y[j] < y[i]]
        surprises = [math.log1p(math.exp((d[i] - d[j]) / 0.3)) for j in lower]
        expected.append(mean(surprises, [w[j] * (y[i] - y[j]) for j in lower]))
    np.testing.assert_allclose(objective("rank").losses(output, target), expected, atol=1e-9)
    z = output.complex.numpy()
    expected = []
    for i in range(N):
        others = [j for j in range(N) if j != i]
        values = []
        for j in others:
            far, alike = math.sqrt(((z[i] - z[j]) ** 2).sum() + 1e-6), 1 - abs(y[i] - y[j])
            values.append(alike * far**2 + (1 - alike) * max(0.0, 0.7 - far) ** 2)
        expected.append(
            mean(values, [w[j] for j in others]) + y[i] * d[i] ** 2 + (1 - y[i]) * max(0.0, 0.7 - d[i]) ** 2
        )
    np.testing.assert_allclose(objective("complexes").losses(output, target), expected, atol=1e-6)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_a_pair_of_weight_zero_changes_nothing_for_the_others(loss: LossName) -> None:
    output, target = both(1)
    output = output._replace(logit=output.score.logit() if loss == "bce" else None)
    there = target.weight > 0
    assert 0 < there.sum() < N
    kept = PairOutput(*(None if part is None else part[there] for part in output))
    expected = objective(loss).losses(kept, Target(*(part[there] for part in target)))
    torch.testing.assert_close(objective(loss).losses(output, target)[there], expected)


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_the_scale_of_the_weights_and_the_order_of_the_pairs_are_irrelevant(loss: LossName) -> None:
    output, target = both(2)
    output = output._replace(logit=output.score.logit() if loss == "bce" else None)
    plain = objective(loss).losses(output, target)
    torch.testing.assert_close(objective(loss).losses(output, target._replace(weight=target.weight * 40)), plain)
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    moved = PairOutput(*(None if part is None else part[order] for part in output))
    torch.testing.assert_close(objective(loss).losses(moved, Target(*(p[order] for p in target))), plain[order])


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("case", ["one pair", "equal labels", "equal vectors", "no weight"])
def test_nothing_to_compare_with_gives_finite_values_and_gradients(loss: LossName, case: str) -> None:
    n = 1 if case == "one pair" else 6
    generator = torch.Generator().manual_seed(0)
    vector = functional.normalize(torch.randn(n, 4, generator=generator), dim=1)
    if case == "equal vectors":
        vector = vector[:1].repeat(n, 1)
    vector.requires_grad_()
    logit = vector.sum(dim=1) if loss == "bce" else None
    distance = unit_distance(vector, vector.detach().flip(0))
    output = PairOutput(distance, distance, logit, vector, vector.flip(1), vector)
    label = torch.full((n,), 0.5) if case == "equal labels" else torch.linspace(0, 1, n)
    ids = torch.zeros(n, dtype=torch.int64)
    weight = torch.zeros(n) if case == "no weight" else torch.ones(n)
    losses = objective(loss).losses(output, Target(label, ids, ids, weight))
    assert torch.isfinite(losses).all()
    (losses * weight).sum().backward()
    assert torch.isfinite(vector.grad).all()


LEARN: dict[LossName, Callable[[torch.Tensor, Target], torch.Tensor]] = {
    "rank": lambda x, t: rank_loss(x, t.label, t.weight),
    "triplet": lambda x, t: triplet_loss(-x, t.label, t.receptor_id, t.weight, 1.0, "all"),
}


@pytest.mark.parametrize("loss", LEARN)
def test_what_is_ranked_ends_in_the_order_of_its_labels(loss: LossName) -> None:
    target = Target(torch.linspace(0, 1, 9).flip(0), *torch.zeros(2, 9, dtype=torch.int64), torch.ones(9))
    closeness = torch.zeros(9, requires_grad=True)
    optimizer = torch.optim.Adam([closeness], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        LEARN[loss](closeness, target).sum().backward()
        optimizer.step()
    assert stats.kendalltau(closeness.detach(), target.label).statistic == pytest.approx(1.0)


def test_info_nce_falls_when_partners_find_each_other() -> None:
    ids, ones = torch.arange(8), torch.ones(8)
    partners = torch.eye(8)
    found = info_nce_loss(partners, partners, ones, ids, ids, ones, 0.1)
    mistaken = info_nce_loss(partners, partners.roll(1, 0), ones, ids, ids, ones, 0.1)
    assert (found < 1e-3).all()
    assert (mistaken > 9).all()


def test_complexes_of_equal_labels_meet() -> None:
    label = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.5])
    raw = torch.randn(6, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = torch.optim.Adam([raw], lr=0.02)
    for _ in range(400):
        vector = functional.normalize(raw, dim=1)
        from_ideal = unit_distance(vector[:5], vector[5])
        optimizer.zero_grad()
        complexes_loss(vector[:5], from_ideal, label, torch.ones(5), 1.0).sum().backward()
        optimizer.step()
    np.testing.assert_allclose(1 - from_ideal.detach(), label, atol=0.1)


def test_what_goes_with_what() -> None:
    for model in get_args(ModelName):
        assert loss_of(model, "auto") == LOSSES[model][0]
        assert all(loss_of(model, loss) == loss for loss in LOSSES[model])
    assert set(IN_BATCH) < set(LOSS_NAMES) == {loss for losses in LOSSES.values() for loss in losses}
    message = r"train\.loss 'bce' does not go with model\.name 'siamese'; legal with it: auto, contrastive, triplet, "
    with pytest.raises(InputError, match=message):
        loss_of("siamese", "bce")
