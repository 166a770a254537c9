"""Networks trained by two ranks, with any ZeRO stage and precision, as bundles: the scores are those of `evaluate`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from snw_dist import PairScorer
from snw_dist.config import config_to_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.evaluate import report
from snw_dist.evaluate.run import evaluate_run
from tests.kit.bundle_tools import bundled, embedded_project, with_model
from tests.kit.ranks import run_ranks
from tests.kit.trainings import TRAINING

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(400)]


@pytest.mark.parametrize(
    ("network", "mode", "stage", "precision"),
    [
        ("siamese", "frozen", 0, "fp32"),
        ("cross_attention", "frozen", 3, "bf16"),
        ("siamese", "lora", 3, "fp32"),
        ("pseudo_siamese", "full", 0, "bf16"),
    ],
)
def test_a_bundle_gives_the_scores_of_the_evaluation(
    network: str, mode: str, stage: int, precision: str, tmp_path: Path
) -> None:
    train: dict[str, Any] = {"zero_stage": stage, "precision": precision, "encoder_mode": mode}
    train |= {"max_steps": 4, "validate_every": 2, "save_every": 2, "warmup_steps": 1, "global_batch_size": 32}
    config = embedded_project(tmp_path, "float32", **with_model(network, **train))
    for rank in run_ranks(TRAINING, 2, config_to_dict(config), tmp_path / "log", timeout_s=200):
        assert rank.returncode == 0, rank.log
    with patch.object(report, "_pictures", lambda *_: {}):
        evaluate_run(config)
    table = pd.read_parquet(config.run_folder / "evaluation" / "predictions.parquet")
    prepared = load_prepared(config.data_folder)
    pairs = table["ligand_id"].map(prepared.ligands).tolist(), table["receptor_id"].map(prepared.receptors).tolist()
    folder = bundled(config, tmp_path / "bundle")
    shutil.rmtree(config.run_folder)
    shutil.rmtree(config.store_path)
    scorer = PairScorer.load(folder, device="cpu")
    assert scorer.loading.difference <= 1e-6
    assert scorer.bundle.says.members["tiny"].step > 0
    np.testing.assert_allclose(scorer.score(*pairs).score, table["score"], rtol=0, atol=1e-6)
