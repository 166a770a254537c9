"""Conformal selection against its definition, in any division of the library, and its promise under exchangeability."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hpc.errors import InputError
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.screen.errors.conformal import Negatives, exact_rate, selected
from tests.kit.false_rate import EXCHANGEABLE, RATES, SHIFTED, Setting, simulated

SOME_RATES = (0.01, 0.05, 0.1, 0.2, 0.5, 0.9)


def by_definition(scores: FloatArray, negatives: FloatArray, rate: Fraction) -> BoolArray:
    """Benjamini and Hochberg's procedure as it is written, with fractions."""
    p_values = [Fraction(1 + int((negatives >= score).sum()), 1 + len(negatives)) for score in scores]
    ordered = sorted(p_values)
    kept = [p for place, p in enumerate(ordered, 1) if p <= rate * place / len(ordered)]
    return np.array([bool(kept) and p <= kept[-1] for p in p_values], dtype=bool)


def some(seed: int) -> tuple[FloatArray, FloatArray]:
    """Scores and negatives: sometimes none, sometimes with many that are equal."""
    random = np.random.default_rng(seed)
    step = random.choice([0.001, 0.3, 1.0])
    negatives = random.normal(0, 1, random.integers(0, 60))
    scores = random.normal(random.choice([0.0, 2.0, 4.0]), 2, random.integers(1, 120))
    return np.round(scores / step) * step, np.round(negatives / step) * step


def test_is_the_procedure_as_it_is_defined() -> None:
    sizes = []
    for seed in range(150):
        scores, negatives = some(seed)
        rate = SOME_RATES[seed % len(SOME_RATES)]
        found = selected(scores, negatives, rate)
        expected = by_definition(scores, negatives, exact_rate(rate))
        assert found.hits(scores).tolist() == expected.tolist(), (seed, rate)
        assert found.num_hits == expected.sum()
        assert (found.num_tested, found.num_negatives) == (len(scores), len(negatives))
        assert found.estimate <= rate
        sizes.append(found.num_hits)
    assert 0 in sizes
    assert len(set(sizes)) > 30


def test_no_division_of_the_library_changes_anything() -> None:
    scores, negatives = some(4)
    whole = Negatives.of(negatives, Fraction(1, 5))
    parts = [whole.counts(part) for part in (scores[:7], scores[7:7], scores[7:50].reshape(-1, 1), scores[50:])]
    for order in ((0, 1, 2, 3), (3, 0, 2, 1)):
        added = sum((parts[part] for part in order), np.zeros_like(parts[0]))
        assert added.tolist() == whole.counts(scores).tolist()
    assert whole.selection(whole.counts(scores)).num_hits > 0


def test_memory_is_that_of_the_negatives_that_decide() -> None:
    found = Negatives.of(np.arange(1000.0), Fraction(1, 20))
    assert len(found.highest) == 50
    assert len(found.counts(np.linspace(0, 2000, 5000))) == 51


def test_p_values_are_those_of_the_definition_where_they_decide() -> None:
    scores, negatives = some(10)
    p_values = Negatives.of(negatives, Fraction(1, 2)).p_values(scores)
    expected = np.array([(1 + (negatives >= score).sum()) / (1 + len(negatives)) for score in scores])
    decides = expected <= 0.5
    assert p_values[decides].tolist() == expected[decides].tolist()
    assert (p_values[~decides] == 1).all()
    assert 0 < decides.sum() < len(decides)


def test_a_score_of_fewer_digits_is_compared_as_it_is() -> None:
    """0.1 in 32 bits is above 0.1 in 64: the cutoff must not be rounded to the scores."""
    score = np.full(20, 0.1, np.float32)
    assert selected(score, np.full(9, 0.1), 0.2).num_hits == 20
    assert selected(score, score[:9], 0.2).num_hits == 0, "equal scores count against a pair"


def test_nothing_is_kept_where_too_few_negatives_are_known() -> None:
    """Nine negatives can never show a share below one in ten, and not for a few pairs of very many."""
    scores = np.full(100, 9.0)
    assert selected(scores, np.zeros(18), 0.05).num_hits == 0
    assert selected(scores, np.zeros(19), 0.05).num_hits == 100
    negatives = Negatives.of(np.zeros(199), Fraction(1, 10))
    assert negatives.fewest_hits(1000) == 50
    for num_high, kept in ((49, 0), (50, 50)):
        library = np.where(np.arange(1000) < num_high, 9.0, -9.0)
        found = negatives.selection(negatives.counts(library))
        assert found.num_hits == kept
        assert math.isinf(found.cutoff) == (kept == 0)


def test_nan_is_never_a_hit_but_is_counted() -> None:
    found = selected(np.array([9.0, 9.0, np.nan]), np.zeros(9), 0.2)
    assert (found.num_hits, found.num_tested) == (2, 3)
    assert found.hits(np.array([9.0, np.nan])).tolist() == [True, False]


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_rate_is_a_share(rate: float) -> None:
    with pytest.raises(
        InputError, match=r"a false rate of .*: the share of hits that may be false is above 0 and below 1"
    ):
        exact_rate(rate)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("setting", EXCHANGEABLE, ids=lambda setting: setting.name)
def test_promise_holds_where_negatives_can_be_exchanged(setting: Setting, rate: float) -> None:
    """Over 200 screens no more than the rate times the share of non-binders, within three standard errors."""
    found, allowed = simulated(setting, rate), rate * (1 - setting.binders)
    assert found.mean - 1.5 * found.half <= allowed
    if setting.num_negatives > 1000:
        assert found.mean + 1.5 * found.half >= 0.9 * allowed, "many negatives: what is allowed is used"


def test_promise_breaks_where_negatives_cannot_be_exchanged() -> None:
    """So the bound above can fail: negatives of the library score higher than those of the calibration."""
    found = simulated(SHIFTED, 0.1)
    assert found.mean - found.half > 0.2


def test_the_share_of_binders_is_not_asked_for() -> None:
    """Counting all calibration pairs promises the same, and keeps it only where the library has as many binders."""
    alike, few = EXCHANGEABLE[:2]
    assert abs(simulated(alike, 0.1, all_pairs=True).mean - 0.1) < 0.01
    assert simulated(few, 0.1, all_pairs=True).mean > 0.15
    assert simulated(few, 0.1).mean < 0.105
