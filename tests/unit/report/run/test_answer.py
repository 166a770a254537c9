"""The sentence at the top is that of the verdicts, over all held-out splits."""

from __future__ import annotations

from typing import Any

import pytest

from snw_dist.report.run.answer import advice, answer, asked_of, first_facts, warnings
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
            "The network beats the best simple control on b (AUROC 0.700 against 0.600); it is neither clearly "
            "better nor clearly worse than the best simple control on a (AUROC 0.900 against 0.800) and on c (AUROC "
            "0.900 against 0.800).",
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


def test_what_a_split_asks_is_told_by_what_is_new_to_the_network() -> None:
    counts = {"ligands": 469, "ligands_in_train": 0, "receptors": 33, "receptors_in_train": 33}
    other = {"ligands": 238, "ligands_in_train": 200, "receptors": 8, "receptors_in_train": 0}
    assert asked_of(["test", "cold", "gone"], {"test": counts, "cold": other}) == [
        "**test** has 469 ligands (all of them new) and 33 receptors (none of them new).",
        "**cold** has 238 ligands (38 of them new) and 8 receptors (all of them new).",
    ]


@pytest.mark.parametrize(
    ("verdict", "encoder", "said"),
    [
        ("beats", "ESM C, RANDOM weights (demonstration)", "real weights"),
        ("is not told apart from", "biohub/ESMC-300M", "snw-dist compare"),
        ("is worse than", "biohub/ESMC-300M", "no more than the control"),
        ("has too few pairs to be compared with", "biohub/ESMC-300M", "Hold out more pairs"),
        ("beats", "biohub/ESMC-300M", "worst errors"),
    ],
)
def test_what_to_do_after_the_answer(verdict: str, encoder: str, said: str) -> None:
    text = advice({"comparison": {"test": judged(verdict)}, "provenance": {"encoder": encoder}})
    assert text.startswith("**What now?**")
    assert said in text


def test_first_facts_are_those_of_the_evaluation(run: RunFiles) -> None:
    first, second = first_facts(run.metrics).facts
    figure = run.metrics["model"]["splits"]["test"]["metrics"]["auroc"]
    assert (first.name, first.value) == ("AUROC on test", f"{figure['value']:.3f}")
    assert f"{figure['low']:.3f} to {figure['high']:.3f}" in first.says
    assert second.name == "AUROC on test_of_unseen_receptors"
