"""The one sentence of a comparison, from its verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from snw_dist.evaluate.measure.verdict import FEW
from snw_dist.report.comparison.conclusion import conclusion


def compared(control: str, others: dict[str, str], seeds: int = 2, **more: Any) -> dict[str, Any]:
    """A comparison whose best network is `a`, and what each other one is beside it."""
    verdict = {
        "verdict": control,
        "best_control": "boosting",
        "turned": False,
        "sentence": "test: no verdict on a: few.",
    }
    networks = {"best": "a", "verdicts": {"test": {name: {"verdict": found} for name, found in others.items()}}}
    return {
        "folds": 1,
        "models": {name: {"runs": [f"{name}-{seed}" for seed in range(seeds)]} for name in ("a", *others)},
        "verdicts": {"test": {"a": verdict}, "other": {"a": verdict | {"verdict": "is worse than"}}},
        "networks": networks if others else None,
        **more,
    }


@pytest.mark.parametrize(
    ("comparison", "sentence", "tone"),
    [
        (
            compared("beats", {"b": "is worse than", "c": "is worse than", "d": "is not told apart from"}),
            "On test, a, the best network on validation, beats the best control (boosting); d is not told apart from "
            "it; b and c are worse.",
            "good",
        ),
        (
            compared("is worse than", {"b": "is better than"}, seeds=1),
            "On test, a, the best network on validation, is worse than the best control (boosting); b is better "
            "(one run of each network: another seed may change their order).",
            "bad",
        ),
        (
            compared("is not told apart from", {}),
            "On test, a is not told apart from the best control (boosting).",
            "warning",
        ),
        (compared(FEW, {}), "Nothing may be concluded on test: no verdict on a: few.", "warning"),
        (
            compared("beats", {}) | {"verdicts": {}},
            "Nothing may be concluded: there is no split but train and val.",
            "warning",
        ),
    ],
)  # fmt: skip
def test_one_sentence(comparison: dict[str, Any], sentence: str, tone: str) -> None:
    assert conclusion(comparison) == (sentence, tone)
