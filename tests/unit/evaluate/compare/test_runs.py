"""Several networks side by side: which runs are made, and how runs of several seeds become one row."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import roc_auc_score

from hpc.errors import InputError
from snw_dist.config import config_from_dict, config_to_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.evaluate.compare.printed import comparison_table
from snw_dist.evaluate.compare.runs import compare_runs, ensembles_of, mean_of, variants
from snw_dist.evaluate.measure.calibration import choose_calibration
from snw_dist.evaluate.measure.verdict import compare
from snw_dist.evaluate.run import score_run
from snw_dist.predict.export import read_export
from tests.kit.evaluate_tools import measured
from tests.kit.ranks import run_ranks
from tests.kit.shipped import embedded_run
from tests.kit.trainings import TRAINING


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


def test_the_mean_of_several_seeds_with_the_interval_of_the_mean() -> None:
    runs = [measured(0.5, seed) for seed in (1, 2, 3)]
    mean = mean_of(runs, "of_runs")
    values = [run.splits["test"]["metrics"]["auroc"]["value"] for run in runs]
    auroc = mean.splits["test"]["metrics"]["auroc"]
    assert auroc["value"] == pytest.approx(np.mean(values))
    assert auroc["of_runs"] == values
    assert auroc["low"] < auroc["value"] < auroc["high"]
    widths = [r.splits["test"]["metrics"]["auroc"]["high"] - r.splits["test"]["metrics"]["auroc"]["low"] for r in runs]
    assert auroc["high"] - auroc["low"] < max(widths)
    assert np.isnan(mean.splits["test"]["metrics"]["f1"]["low"])
    assert mean_of(runs[:1], "of_runs") is runs[0]
    verdict = compare(mean, {"guess": measured(5.0, 9)}, "test", "siamese")
    assert verdict["verdict"] == "beats"
    assert verdict["sentence"].startswith("test: siamese beats the best control (guess)")


def test_runs_together_are_an_ensemble_of_probabilities(tmp_path: Path) -> None:
    """Two trained runs of other seeds: their mean probability is measured like the scores of a network, and written."""
    train = {"max_steps": 2, "validate_every": 2, "warmup_steps": 1}
    size = {"size": "light", "d_model": 16, "num_pooling_queries": 4}
    base = embedded_run(tmp_path, "base", train=train, model=size, evaluate={"bootstrap": 50, "controls": ["degree"]})
    runs = variants(base, ["siamese"], [1, 2])
    for run in runs["siamese"]:
        [rank] = run_ranks(TRAINING, 1, config_to_dict(run), tmp_path / run.run.name)
        assert rank.returncode == 0, rank.log
    earlier = base.run_folder / "compare" / "ensemble_all.csv"
    earlier.parent.mkdir()
    earlier.touch()
    comparison = compare_runs(base, runs).plain()
    assert not earlier.exists()
    prepared = load_prepared(base.data_folder)
    each = [score_run(run, prepared, [])[0] for run in runs["siamese"]]
    assert not np.array_equal(*each)
    written = pd.read_csv(base.run_folder / "compare" / "ensemble_siamese.csv")
    val, positive = written["split"] == "val", written["positive"] == 1
    calibrated = [choose_calibration(positive[val].to_numpy(), scores[val], base.run.seed)(scores) for scores in each]
    np.testing.assert_allclose(written["score"], np.mean(calibrated, axis=0), rtol=1e-12)
    for split in ("val", "test", "test_unseen_receptor"):
        rows = (written["split"] == split).to_numpy()
        own, both = (comparison[kind]["siamese"]["splits"][split]["metrics"] for kind in ("models", "ensembles"))
        expected = [roc_auc_score(positive[rows], scores[rows]) for scores in (*each, written["score"])]
        assert own["auroc"]["value"] == pytest.approx(np.mean(expected[:2]))
        assert both["auroc"]["value"] == pytest.approx(expected[2])
    assert comparison["verdicts"]["test"]["ensemble: siamese"]["best_control"] == "degree"
    console = Console(width=120)
    with console.capture() as printed:
        console.print(comparison_table(comparison))
    lines = [line.split() for line in printed.get().splitlines()]
    assert lines.count(["ensembles"]) == 3, "in every split"
    with console.capture() as printed:
        console.print(comparison_table(comparison, all_metrics=True))
    assert [line.split() for line in printed.get().splitlines()].count(["controls"]) == 9, "in every split and table"
    for run in runs["siamese"]:
        facts = comparison["models"]["siamese"]["trained"][run.run.name]
        network = read_export(run.run_folder / "export")[0]
        assert facts["parameters"] == sum(tensor.numel() for tensor in network.parameters())
        records = [json.loads(line) for line in (run.run_folder / "metrics.jsonl").read_text().splitlines()]
        seconds = [record["seconds"] for record in records if record["kind"] in ("train", "validation")]
        assert facts["training_s"] == pytest.approx(sum(seconds))
        assert len(seconds) == 3
        assert (facts["device"], facts["num_ranks"]) == (f"cpu {platform.machine()}", 1)
    [cost] = [line for line in lines if line[:1] == ["siamese"] and line[-2:] == ["cpu", platform.machine()]]
    assert cost[1] == f"{facts['parameters']:,}"
    assert comparison["networks"] is None, "one network has none beside it"
    assert comparison["learned_from"][0]["degree"]["num_pairs"] == (prepared.pairs["split"] == "train").sum()
    assert sum(line[:3] == ["test:", "ensemble:", "siamese"] for line in lines) == 1, "a sentence of its own"


def test_which_runs_are_an_ensemble() -> None:
    one, other, third = (measured(0.5, seed) for seed in (1, 2, 3))
    assert ensembles_of({"siamese": [one]}) == {}
    assert ensembles_of({"siamese": [one, other]}) == {"siamese": [one, other]}
    everything = ensembles_of({"siamese": [one, other], "triplet": [third]})
    assert everything == {"siamese": [one, other], "all": [one, other, third]}


def test_no_run_that_has_ended(tmp_path: pytest.TempPathFactory) -> None:
    base = config_from_dict({"run": {"name": "base", "folder": str(tmp_path)}})
    runs = variants(base, ["siamese"], [1])
    with pytest.raises(InputError, match="no prepared data"):
        compare_runs(base, runs)
