"""A comparison of three networks as `compare` measures it; nothing is trained here."""

from __future__ import annotations

from typing import Any

from snw_dist.evaluate.compare.compared import Comparison
from snw_dist.evaluate.training_cost import Trained
from tests.kit.evaluate_tools import measured

FACTS = {
    "num_pairs": 100_000,
    "num_positive": 40_000,
    "num_receptors": 25,
    "graded": True,
    "bootstrap": {"unit": "receptor"},
}


LONG = "pseudo_siamese"


def fold(number: int = 0, facts: dict[str, Any] = FACTS) -> Comparison:
    """Three networks of two runs each: the first two alike, the third guesses."""
    models = {
        "siamese": measured(0.5, 1, number),
        LONG: measured(0.501, 1, number),
        "triplet": measured(9.0, 3, number),
    }
    runs = {name: [f"x-fold{number}-{name}-{seed}" for seed in (1, 2)] for name in models}
    cost = {
        run: Trained(1_234_567, 60.0 * seed, "NVIDIA H100 80GB HBM3", 4)
        for group in runs.values()
        for seed, run in enumerate(group, 1)
    }
    return Comparison(
        encoder="esmc-tiny-random (random weights)",
        repeats=200,
        seed=1,
        splits={"val": facts, "test": facts},
        runs=runs,
        models=models,
        ensembles={LONG: measured(0.4, 4, number)},
        controls={"shuffled_receptor": measured(9.0, 9, number), "boosting": measured(2.0, 8, number)},
        missing=["x-triplet-3"],
        trained=cost,
        learned_from=[{"boosting": {"num_pairs": 1000, "num_train": 68_719}}],
    )
