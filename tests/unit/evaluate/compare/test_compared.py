"""Networks beside each other in `comparison.json` and in the table; nothing is trained here."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from snw_dist.evaluate.compare.folds import mean_over_folds
from snw_dist.evaluate.compare.printed import comparison_table
from tests.kit.comparisons import FACTS, LONG, fold


def shown(plain: dict[str, Any], width: int = 80, all_metrics: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(comparison_table(plain, all_metrics))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_each_network_is_beside_the_best_on_validation() -> None:
    comparison = fold()
    plain = json.loads(json.dumps(comparison.plain()))
    on_val = {name: model.splits["val"]["metrics"]["auroc"]["value"] for name, model in comparison.models.items()}
    best = max(on_val, key=on_val.__getitem__)
    networks = plain["networks"]
    assert networks["best"] == best
    assert networks["chosen_by"] == {"split": "val", "metric": "auroc", "value": on_val[best]}
    assert list(networks["verdicts"]) == ["test"], "validation has chosen, and judges nothing"
    other = LONG if best == "siamese" else "siamese"
    assert set(networks["verdicts"]["test"]) == {other, "triplet"}
    assert networks["verdicts"]["test"]["triplet"]["verdict"] == "is worse than"
    assert networks["verdicts"]["test"][other]["verdict"] == "is not told apart from"
    text = " ".join(shown(plain).split())
    assert f"best network on val: {best}, by AUROC {on_val[best]:.3f}" in text
    for verdict in networks["verdicts"]["test"].values():
        assert verdict["sentence"] in text
    assert "another seed may change their order" not in text
    one_run = comparison.plain() | {
        "models": {name: model | {"runs": ["x"]} for name, model in plain["models"].items()}
    }
    assert "another seed may change their order" in " ".join(shown(one_run).split())
    assert "cannot be told from chance" in networks["verdicts"]["test"][other]["sentence"]


def test_no_verdict_on_networks_below_the_stated_size() -> None:
    plain = fold(facts=FACTS | {"num_pairs": 300, "num_positive": 9}).plain()
    assert {v["verdict"] for v in plain["networks"]["verdicts"]["test"].values()} == {
        "has too few pairs to be compared with"
    }


def test_the_table_fits_80_columns_and_says_size_time_and_device() -> None:
    plain = fold().plain()
    for all_metrics in (False, True):
        lines = shown(plain, all_metrics=all_metrics).splitlines()
        assert max(map(len, lines)) <= 80
        for name in ("siamese", LONG, "triplet"):
            row = next(line for line in lines if line.startswith(f"{name} "))
            assert row.split() == [name, "1,234,567", "1", "min", "30", "s", "4", "x", "NVIDIA", "H100", "80GB", "HBM3"]
        assert " ".join(lines).count("boosting: learned from 1,000 of 68,719 training pairs") == 1
    lines = shown(plain).splitlines()
    assert not [line for line in lines if line.startswith(("  boosting ", " controls"))], "the best one alone"
    [row] = [line for line in lines if line.startswith("test ")]
    assert row.split() == ["test", plain["verdicts"]["test"]["siamese"]["best_control"]]
    assert plain["models"]["triplet"]["trained"]["x-fold0-triplet-2"] == {
        "parameters": 1_234_567,
        "training_s": 120.0,
        "device": "NVIDIA H100 80GB HBM3",
        "num_ranks": 4,
    }


def test_over_folds_the_difference_is_that_of_the_means() -> None:
    folds = [fold(number) for number in range(3)]
    whole = mean_over_folds(folds)
    networks = whole.plain()["networks"]
    each = {
        name: np.mean([one.models[name].repeats["test"]["auroc"] for one in folds], axis=0)
        for name in ("triplet", networks["best"])
    }
    low, high = np.quantile(each["triplet"] - each[networks["best"]], [0.025, 0.975])
    difference = networks["verdicts"]["test"]["triplet"]["difference"]
    assert (difference["low"], difference["high"]) == pytest.approx((low, high))
    trained = whole.plain()["models"]["triplet"]["trained"]
    assert list(trained) == [f"x-fold{number}-triplet-{seed}" for number in range(3) for seed in (1, 2)]
    assert len(whole.plain()["learned_from"]) == 3
