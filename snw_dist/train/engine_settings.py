"""What DeepSpeed and AdamW are told of a training: pure values, which `snw_dist.train.engine` hands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from snw_dist.config import Precision

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Of the arithmetic, by `train.precision`."""
_MOST_AT_ONCE = 50_000_000
"""Elements of gradients that DeepSpeed brings together in stages 1 and 2: 100 MB in 16 bits.

A ring of 64 ranks at 25 GB/s and 10 us a message needs 32 MB to be fast. DeepSpeed's default takes 1 to 2 GB."""
# By default ZeRO-3 keeps a billion gathered parameters and fetches fifty million ahead: all of ESM C 600M in every
# pass, which is what stage 3 is there to avoid. Here a block is dropped after its use; small parameters stay gathered.
_GATHER_LITTLE = {
    "stage3_max_reuse_distance": 0,
    "stage3_max_live_parameters": 20_000_000,
    "stage3_prefetch_bucket_size": 5_000_000,
    "reduce_bucket_size": 5_000_000,
    "overlap_comm": True,
}


def deepspeed_settings(
    zero_stage: int,
    precision: Precision,
    micro_batch_size: int,
    accumulation_steps: int,
    gradient_clipping: float,
    num_trained: int,
) -> dict[str, Any]:
    """DeepSpeed's configuration for a network of which `num_trained` elements are trained.

    The other arguments are those of `snw_dist.train.engine.Engine`.
    """
    bucket = max(1, min(num_trained, _MOST_AT_ONCE))
    zero = _GATHER_LITTLE if zero_stage == 3 else {"reduce_bucket_size": bucket, "overlap_comm": False}
    return {
        "train_micro_batch_size_per_gpu": micro_batch_size,
        "gradient_accumulation_steps": accumulation_steps,
        "gradient_clipping": 0.0 if we_clip(zero_stage, precision) else gradient_clipping,
        "zero_optimization": {"stage": zero_stage, **zero},
        "zero_allow_untested_optimizer": True,
        "bf16": {"enabled": precision == "bf16"},
        "fp16": {"enabled": precision == "fp16"},
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }


def we_clip(zero_stage: int, precision: Precision) -> bool:
    """Whether the engine clips the gradients itself.

    DeepSpeed would multiply all of them by a factor that is NaN where one of them is, and step.
    """
    return zero_stage == 0 and precision == "fp32"


def parameter_groups(model: nn.Module, ratios: Mapping[str, float]) -> list[dict[str, Any]]:
    """AdamW's groups: the trained parameters by their share of the learning rate, which stands under `ratio`.

    `ratios`: the share of the parameters whose name begins so; 1 for all others.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            ratio = next((ratio for prefix, ratio in ratios.items() if name.startswith(prefix)), 1.0)
            groups.setdefault(ratio, []).append(parameter)
    return [{"params": parameters, "ratio": ratio} for ratio, parameters in groups.items()]
