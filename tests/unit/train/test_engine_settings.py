"""What DeepSpeed and AdamW are told, by ZeRO stage and precision."""

import pytest
from torch import nn

from snw_dist.config import Precision
from snw_dist.train.engine_settings import deepspeed_settings, parameter_groups


@pytest.mark.parametrize("stage", range(4))
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_settings_by_stage_and_precision(stage: int, precision: Precision) -> None:
    settings = deepspeed_settings(stage, precision, 4, 3, 0.5, 1000)
    assert (settings["train_micro_batch_size_per_gpu"], settings["gradient_accumulation_steps"]) == (4, 3)
    assert {name for name in ("bf16", "fp16") if settings[name]["enabled"]} == {precision} - {"fp32"}
    # At stage 0 in fp32 DeepSpeed would multiply all gradients by the clipping of one that is NaN.
    assert settings["gradient_clipping"] == (0.0 if (stage, precision) == (0, "fp32") else 0.5)
    zero = settings["zero_optimization"]
    assert zero["stage"] == stage
    assert ("stage3_max_live_parameters" in zero) == (stage == 3)
    assert stage == 3 or zero["reduce_bucket_size"] == 1000  # DeepSpeed would take memory for half a billion
    assert zero["overlap_comm"] == (stage == 3)


@pytest.mark.parametrize("stage", [0, 1, 2])
def test_the_gradients_of_a_large_network_are_not_brought_together_at_once(stage: int) -> None:
    settings = deepspeed_settings(stage, "bf16", 1, 1, 1.0, 600_000_000)
    assert settings["zero_optimization"]["reduce_bucket_size"] == 50_000_000


def test_groups_of_parameters_by_their_share_of_the_rate() -> None:
    model = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("encoder", "head", "frozen")})
    model["frozen"].requires_grad_(False)
    encoder, head = (list(model[name].parameters()) for name in ("encoder", "head"))
    assert parameter_groups(model, {}) == [{"params": [*encoder, *head], "ratio": 1.0}]
    assert parameter_groups(model, {"encoder.": 0.1}) == [
        {"params": encoder, "ratio": 0.1},
        {"params": head, "ratio": 1.0},
    ]
