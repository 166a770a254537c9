"""Which settings of a run may be others when it is gone on with: one table of all of them.

A setting that decides what the steps done already mean changes by permission alone, and is recorded. How long a run is
to be, and how often it is looked at, says nothing about them: to train longer is a normal wish.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any


class Change(Enum):
    """How a setting may change between a checkpoint and the run that takes it up."""

    FREE = "freely"
    """It decides no weight of any step."""
    TOLD = "freely, and metrics.jsonl says so"
    """It decides what comes, not what the steps done already mean."""
    PRECISION = "with --allow-precision-change"
    ALLOWED = "with --allow-changes"
    NEVER = "never"
    """The weights are those of another network."""
    BY_CONTENT = "by what comes of it"
    """The training pairs (`PAIRS`) and the rows of the store (`STORE`) are compared, however they were made."""


PRECISION, MONITOR = "train.precision", "train.monitor"
PAIRS, STORE = "training pairs", "embedding store"
PARTS = "micro-batches of a step"
DIVISION = "division of an epoch into steps"

CHANGES: Mapping[str, Change] = {
    **dict.fromkeys(("data", "encoder", "store"), Change.BY_CONTENT),
    **dict.fromkeys(("evaluate", "cluster", "run.name", "run.folder"), Change.FREE),
    "run.seed": Change.ALLOWED,
    **{
        f"model.{name}": Change.NEVER
        for name in (
            *("name", "size", "d_model", "num_heads", "num_conv_layers", "num_transformer_layers"),
            *("kernel_size", "num_pooling_queries", "embedding_size"),
        )
    },
    **{f"model.{name}": Change.ALLOWED for name in ("dropout", "margin", "max_length")},
    **{
        f"train.{name}": Change.FREE
        for name in (
            *("device", "zero_stage", "micro_batch_size", "patience", "save_every", "keep_last", "keep_every"),
            *("tracker", "allow_precision_change", "allow_changes"),
        )
    },
    **{f"train.{name}": Change.TOLD for name in ("epochs", "max_steps", "validate_every")},
    PRECISION: Change.PRECISION,
    **{f"train.{name}": Change.NEVER for name in ("encoder_mode", "lora_rank")},
    **{
        f"train.{name}": Change.ALLOWED
        for name in (
            *("loss", "temperature", "triplet_margin", "mining", "monitor", "encoder_learning_rate_ratio"),
            *("global_batch_size", "pairs_per_receptor"),
            *("learning_rate", "min_learning_rate_ratio", "warmup_steps", "weight_decay", "gradient_clipping"),
        )
    },
}
"""Of every key of the configuration, or of a whole section of it."""

_MEASURES_SCORES = (MONITOR, PAIRS, STORE)
_MEASURES_LOSS = ("train.loss", "train.temperature", "train.triplet_margin", "train.mining", "model.margin")


def change_of(key: str) -> Change:
    """Of a setting, or of another fact of a run, for which the user is always asked."""
    return CHANGES.get(key) or CHANGES.get(key.partition(".")[0]) or Change.ALLOWED


def differing(saved: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Keys that are not the same in both, those of the present run first."""
    return [key for key in dict.fromkeys([*present, *saved]) if saved.get(key) != present.get(key)]


def other_network(keys: list[str]) -> bool:
    """Whether runs that differ so may have weights of other shapes."""
    return any(key == STORE or change_of(key) is Change.NEVER for key in keys)


def other_measure(keys: list[str], monitor: str) -> bool:
    """Whether validations of runs that differ so cannot be compared: the best of one is not the best of the other."""
    measures = _MEASURES_SCORES if monitor == "auroc" else (*_MEASURES_SCORES, *_MEASURES_LOSS)
    return any(key in measures for key in keys)
