"""What decides the weights of a run, as plain data: its checkpoints and its end hold it."""

from __future__ import annotations

from typing import Any

from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.model.legal_losses import IN_BATCH, loss_of
from snw_dist.trained_run.changes import DIVISION, PAIRS, PARTS, STORE, Change, change_of

EVEN = "equal"
"""The value of `DIVISION`. An older version had a last step of what was left, and its checkpoints do not say so."""


def trajectory(config: SnwConfig, data_digest: str, store_digest: str, world_size: int) -> dict[str, Any]:
    """Everything that decides the weights of a run, as flat plain data: a resumed run must have the same.

    Of the data that is what training sees of them, see `snw_dist.data.trained`.

    The number of ranks and the size of a micro-batch do not: the mean over a step is the same. Only a loss that
    compares the pairs of a micro-batch depends on how many of them make up a step.
    """
    plain, asked = config_to_dict(config), (Change.FREE, Change.BY_CONTENT)
    settings = [
        (f"{section}.{name}", value) for section in ("train", "model", "run") for name, value in plain[section].items()
    ]
    facts: dict[str, Any] = {key: value for key, value in settings if change_of(key) not in asked}
    facts |= {DIVISION: EVEN, PAIRS: data_digest, STORE: store_digest}
    if loss_of(config.model.name, config.train.loss) in IN_BATCH:
        facts[PARTS] = accumulation_steps(config.train.global_batch_size, config.train.micro_batch_size, world_size)
    return facts


def accumulation_steps(global_batch_size: int, micro_batch_size: int, world_size: int) -> int:
    """Forward passes a rank makes for one optimiser step."""
    return -(-global_batch_size // (micro_batch_size * world_size))
