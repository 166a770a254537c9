"""Cross-validation: a configuration for each fold, and the mean over folds of what all of them have."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepared import load_prepared
from snw_dist.evaluate.compare.compared import Comparison
from snw_dist.evaluate.compare.folds import compare_folds, folds_of, mean_over_folds
from snw_dist.evaluate.compare.printed import comparison_table
from snw_dist.evaluate.compare.runs import variants
from snw_dist.evaluate.run import score_run
from tests.kit.evaluate_tools import measured
from tests.kit.ranks import run_ranks
from tests.kit.shipped import embedded_run
from tests.kit.trainings import TRAINING

FOLDS = {"method": "receptor_cold", "clusters": "identical", "folds": 3}


def test_a_fold_has_data_and_draws_of_its_own_and_the_store_of_all() -> None:
    base = config_from_dict(
        {"run": {"name": "base", "folder": "/r", "seed": 7}, "data": {"split": FOLDS}, "train": {"epochs": 3}}
    )
    folds = folds_of(base)
    assert [fold.run.name for fold in folds] == ["base-fold0", "base-fold1", "base-fold2"]
    assert [fold.data.split.fold for fold in folds] == [0, 1, 2]
    assert len({fold.data_folder for fold in folds}) == len({fold.run.seed for fold in folds}) == 3
    for fold in folds:
        assert (fold.split_seed, fold.store_path, fold.train) == (7, base.store_path, base.train)
    elsewhere = config_from_dict({"data": {"split": FOLDS, "folder": "/d"}})
    assert [str(fold.data_folder) for fold in folds_of(elsewhere)] == ["/d-fold0", "/d-fold1", "/d-fold2"]


def test_no_folds_to_go_through() -> None:
    with pytest.raises(InputError, match=r"--all-folds: data\.split\.folds is not given"):
        folds_of(config_from_dict({}))


def test_the_interval_is_that_of_the_mean_over_folds() -> None:
    """Folds are drawn apart from each other, so the mean of n of them varies like one over the root of n."""
    folds = []
    for fold in range(4):
        model, control = measured(0.5, 10 + fold, fold), measured(3.0, 20 + fold, fold)
        facts = {
            split: {"num_pairs": 100, "num_positive": 40, "num_receptors": 20, "graded": True}
            for split in ("val", "test")
        }
        name = f"siamese-{fold}"
        folds.append(Comparison("", 200, 1, facts, {"a": [name]}, {"a": model}, {}, {"guess": control}, []))
    whole = mean_over_folds(folds)
    auroc = whole.models["a"].splits["test"]["metrics"]["auroc"]
    values = [fold.models["a"].splits["test"]["metrics"]["auroc"]["value"] for fold in folds]
    assert auroc["of_folds"] == values
    assert auroc["value"] == pytest.approx(np.mean(values))
    each = [fold.models["a"].repeats["test"]["auroc"] for fold in folds]
    spread = np.std(np.mean(each, axis=0)) / np.mean([np.std(one) for one in each])
    assert 0.35 < spread < 0.7
    verdict = whole.plain()["verdicts"]["test"]["a"]
    assert (verdict["best_control"], verdict["verdict"]) == ("guess", "beats")
    rivals = [fold.controls["guess"].repeats["test"]["auroc"] for fold in folds]
    low, high = np.quantile(np.mean(each, axis=0) - np.mean(rivals, axis=0), [0.025, 0.975])
    assert (verdict["difference"]["low"], verdict["difference"]["high"]) == pytest.approx((low, high))
    assert whole.plain()["splits"]["test"]["num_pairs"] == 400

    folds[2] = dataclasses.replace(folds[2], models={}, runs={}, missing=["siamese-2"])
    left = mean_over_folds(folds)
    assert left.models == left.runs == {}
    assert left.missing == ["siamese-2"]
    assert set(left.controls) == {"guess"}


def test_every_receptor_is_new_once(tmp_path: Path) -> None:
    """Three trained folds on one store: each pair is tested once, by a network that has not seen its receptor."""
    train = {"max_steps": 2, "validate_every": 2, "warmup_steps": 1}
    size = {"size": "light", "d_model": 16, "num_pooling_queries": 4}
    evaluate = {"bootstrap": 50, "controls": ["degree", "receptor"]}
    base = embedded_run(tmp_path, "base", train=train, model=size, evaluate=evaluate, data={"split": FOLDS})
    folds = [(fold, variants(fold, ["siamese"], [1])) for fold in folds_of(base)]
    tested: list[pd.DataFrame] = []
    expected: list[float] = []
    for fold, runs in folds:
        ensure_prepared(fold)
        [run] = runs["siamese"]
        [rank] = run_ranks(TRAINING, 1, config_to_dict(run), tmp_path / "log" / run.run.name)
        assert rank.returncode == 0, rank.log
        pairs = load_prepared(run.data_folder).pairs
        seen, new = (pairs[pairs["split"] == split] for split in ("train", "test"))
        assert set(new["receptor_id"]).isdisjoint(seen["receptor_id"])
        tested.append(new)
        expected.append(auroc_of(run))
    every = pd.concat(tested)
    assert len(every) == len(every.drop_duplicates(["ligand_id", "receptor_id"])) == len(pairs)

    whole = compare_folds(base, folds)
    written = json.loads((base.run_folder / "compare" / "cross_validation.json").read_text())
    assert written["folds"] == 3
    assert written["splits"]["test"]["num_pairs"] == len(pairs)
    assert written["splits"]["test"]["num_receptors"] == 41
    auroc = written["models"]["siamese"]["splits"]["test"]["metrics"]["auroc"]
    assert auroc["of_folds"] == pytest.approx(expected)
    assert auroc["value"] == pytest.approx(np.mean(expected))
    assert written["models"]["siamese"]["runs"] == [f"base-fold{n}-siamese-1" for n in range(3)]
    of_folds = [json.loads((fold.run_folder / "compare" / "comparison.json").read_text()) for fold, _ in folds]
    control = [one["controls"]["receptor"]["splits"]["test"]["metrics"]["auroc"]["value"] for one in of_folds]
    assert written["controls"]["receptor"]["splits"]["test"]["metrics"]["auroc"]["value"] == pytest.approx(
        np.mean(control)
    )
    console = Console(width=120)
    with console.capture() as printed:
        console.print(comparison_table(whole.plain()))
    assert "mean over 3 folds" in printed.get()


def auroc_of(run: SnwConfig) -> float:
    prepared = load_prepared(run.data_folder)
    held_out = prepared.pairs[prepared.pairs["split"] != "train"]
    test = (held_out["split"] == "test").to_numpy()
    return float(roc_auc_score(held_out["positive"][test], score_run(run, prepared, [])[0][test]))
