"""Every network trains under every ZeRO stage, to the same weights; on two ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from snw_dist.config import ModelName
from tests.kit.ranks import run_ranks

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]
MODELS = get_args(ModelName)


def trained(stage: int, precision: str, folder: Path) -> dict[str, Any]:
    config = {"stage": stage, "precision": precision, "models": MODELS}
    for rank in run_ranks("tests.kit.trainings:zero_stages", 2, config, folder, timeout_s=250):
        assert rank.returncode == 0, rank.log
    found: dict[str, Any] = json.loads((folder / "job" / "trained-rank0.json").read_text())
    return found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return trained(0, "fp32", tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_every_stage_gives_the_same_weights(stage: int, plain: dict[str, Any], tmp_path: Path) -> None:
    found = trained(stage, "fp32", tmp_path)
    for name in MODELS:
        assert plain[name]["losses"][2] < plain[name]["losses"][0], name
        np.testing.assert_allclose(found[name]["losses"], plain[name]["losses"], rtol=1e-5, err_msg=name)
        # Adam's first steps are as long as the learning rate however small a gradient is, down to rounding errors.
        np.testing.assert_allclose(found[name]["weights"], plain[name]["weights"], atol=2e-4, err_msg=name)


def test_bfloat16(plain: dict[str, Any], tmp_path: Path) -> None:
    found = trained(2, "bf16", tmp_path)
    for name in MODELS:
        np.testing.assert_allclose(found[name]["losses"], plain[name]["losses"], rtol=0.05, err_msg=name)


def test_float16_scales_the_loss_in_every_stage(tmp_path: Path) -> None:
    """Of CUDA alone for a user; the arithmetic is the same here. Without its scale stage 0 loses small gradients."""
    plain, sharded = (trained(stage, "fp16", tmp_path / str(stage)) for stage in (0, 2))
    for name in MODELS:
        np.testing.assert_allclose(plain[name]["losses"], sharded[name]["losses"], rtol=1e-3, err_msg=name)
        np.testing.assert_allclose(plain[name]["norms"], sharded[name]["norms"], rtol=1e-2, err_msg=name)
        np.testing.assert_allclose(plain[name]["weights"], sharded[name]["weights"], atol=2e-4, err_msg=name)
