"""The sentence at the top is that of the verdicts, over all held-out splits."""

from __future__ import annotations

from typing import Any

import pytest

from snw_dist.report.run.answer import answer, first_facts, warnings
from snw_dist.report.run.files import RunFiles

NO = {"metric": None, "model": None, "control": None}


def judged(verdict: str, model: float = 0.9, control: float = 0.8) -> dict[str, Any]:
    return {"verdict": verdict, "metric": "auroc", "model": model, "control": control}


@pytest.mark.parametrize(
    ("comparison", "sentence", "tone"),
    [
        (
            {"test": judged("beats")},
            "The network beats the best simple control on test (AUROC 0.900 against 0.800).",
            "good",
        ),
        (
            {
                "a": judged("is not told apart from"),
                "b": judged("beats", 0.7, 0.6),
                "c": judged("is not told apart from"),
            },
            "The network beats the best simple control on b (AUROC 0.700 against 0.600); it is not told apart from the "
            "best simple control on a (AUROC 0.900 against 0.800) and on c (AUROC 0.900 against 0.800).",
            "warning",
        ),
        (
            {"test": judged("is worse than", 0.5)},
            "The network is worse than the best simple control on test (AUROC 0.500 against 0.800).",
            "bad",
        ),
        (
            {"test": judged("has too few pairs to be compared with"), "b": NO | {"verdict": "cannot be compared with"}},
            "The network has too few pairs to be judged on test; it has no control to be compared with on b.",
            "plain",
        ),
        ({}, "This run has no held-out split but val, so nothing can be said about new pairs.", "warning"),
    ],
)
def test_the_answer(comparison: dict[str, Any], sentence: str, tone: str) -> None:
    assert answer({"comparison": comparison}) == (sentence, tone)


def test_the_demonstration_is_said_at_the_top(run: RunFiles) -> None:
    [text] = warnings(run.metrics)
    assert text.startswith("**Demonstration.** The encoder of this run has random weights.")
    provenance = {"encoder": "biohub/ESMC-300M", "differences": ["two pairs"]}
    [text] = warnings({"provenance": provenance})
    assert text == "**Not the data that the network was trained on.** two pairs"


def test_first_facts_are_those_of_the_evaluation(run: RunFiles) -> None:
    first, second = first_facts(run.metrics).facts
    figure = run.metrics["model"]["splits"]["test"]["metrics"]["auroc"]
    assert (first.name, first.value) == ("AUROC on test", f"{figure['value']:.3f}")
    assert f"{figure['low']:.3f} to {figure['high']:.3f}" in first.says
    assert second.name == "AUROC on test_of_unseen_receptors"
