"""Several networks side by side: which runs are made, and how runs of several seeds become one row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.config import config_from_dict
from snw_dist.evaluate.compare_runs import compare_runs, mean_of, variants
from snw_dist.evaluate.comparison import compare
from snw_dist.evaluate.measure import Measured, measure_scores, parts_of
from snw_dist.evaluate.pairs import STRATA


def test_runs_share_data_split_and_store() -> None:
    base = config_from_dict({"run": {"name": "base", "folder": "/r", "seed": 7}, "train": {"epochs": 3}})
    runs = variants(base, ["siamese", "pseudo_siamese"], [1, 2])
    assert list(runs) == ["siamese", "pseudo_siamese"]
    names = [run.run.name for group in runs.values() for run in group]
    assert names == ["base-siamese-1", "base-siamese-2", "base-pseudo_siamese-1", "base-pseudo_siamese-2"]
    for model, group in runs.items():
        for seed, run in zip((1, 2), group, strict=True):
            assert (run.model.name, run.run.seed, run.split_seed) == (model, seed, 7)
            assert (run.data_folder, run.store_path) == (base.data_folder, base.store_path)
            assert run.train == base.train


@pytest.mark.parametrize(
    ("models", "seeds"), [([], [1]), (["siamese"], []), (["siamese"] * 2, [1]), (["siamese"], [1, 1])]
)
def test_nothing_or_the_same_twice(models: list[str], seeds: list[int]) -> None:
    with pytest.raises(InputError, match="at least one, and none twice"):
        variants(config_from_dict({}), models, seeds)


def test_a_network_that_does_not_exist() -> None:
    with pytest.raises(InputError, match=r"--models: model\.name: Input should be .*'siamese'.*got 'siam'"):
        variants(config_from_dict({}), ["siam"], [1])


def measured(noise: float, seed: int) -> Measured:
    generator = np.random.default_rng(0)
    label = generator.random(300)
    pairs = pd.DataFrame(
        {
            "split": ["val"] * 100 + ["test"] * 200,
            "stratum": [STRATA[0]] * 300,
            "receptor": [f"R{i % 25}" for i in range(300)],
            "label": label,
            "positive": label > 0.6,
        }
    )
    scores = np.clip(label + noise * np.random.default_rng(seed).standard_normal(300), 0, 1)
    return measure_scores(pairs, parts_of(pairs, 200, 1), scores, 1)


def test_the_mean_of_several_seeds_with_the_interval_of_the_mean() -> None:
    runs = [measured(0.5, seed) for seed in (1, 2, 3)]
    mean = mean_of(runs)
    values = [run.splits["test"]["metrics"]["auroc"]["value"] for run in runs]
    auroc = mean.splits["test"]["metrics"]["auroc"]
    assert auroc["value"] == pytest.approx(np.mean(values))
    assert auroc["of_runs"] == values
    assert auroc["low"] < auroc["value"] < auroc["high"]
    widths = [r.splits["test"]["metrics"]["auroc"]["high"] - r.splits["test"]["metrics"]["auroc"]["low"] for r in runs]
    assert auroc["high"] - auroc["low"] < max(widths)
    assert np.isnan(mean.splits["test"]["metrics"]["f1"]["low"])
    assert mean_of(runs[:1]) is runs[0]
    verdict = compare(mean, {"guess": measured(5.0, 9)}, "test", "siamese")
    assert verdict["verdict"] == "beats"
    assert verdict["sentence"].startswith("test: siamese beats the best control (guess)")


def test_no_run_that_has_ended(tmp_path: pytest.TempPathFactory) -> None:
    base = config_from_dict({"run": {"name": "base", "folder": str(tmp_path)}})
    runs = variants(base, ["siamese"], [1])
    with pytest.raises(InputError, match="no prepared data"):
        compare_runs(base, runs)
