"""What can be known about a training run before a job is submitted, without importing DeepSpeed."""

from __future__ import annotations

import torch

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import Precision, SnwConfig
from snw_dist.data.prepared import ensure_prepared
from snw_dist.embedding.reader import StoreReader
from snw_dist.model.build import check_size
from snw_dist.train.objective import loss_of
from snw_dist.train.pairs import pair_table
from snw_dist.train.tuning import check_lengths, weights_of_store


def check_precision(precision: Precision, device: str) -> None:
    """Raise `EnvironmentProblem` where the arithmetic does not exist; `device` is auto, cpu or cuda.

    The submitting machine may have no GPU although the nodes do, so `cuda` is left for the nodes to check.
    """
    if precision == "fp16" and device != "cuda" and (device == "cpu" or not torch.cuda.is_available()):
        raise EnvironmentProblem(
            "train.precision 'fp16' needs CUDA: DeepSpeed has no fp16 on a CPU. Use 'bf16' or 'fp32', or set "
            "train.device to 'cuda' where the nodes have GPUs."
        )


def check_training(config: SnwConfig) -> None:
    """Precision, network, data (prepared here if need be), store with every sequence, and an encoder to be trained."""
    check_precision(config.train.precision, config.train.device)
    prepared = ensure_prepared(config)
    reader = StoreReader(config.store_path)
    check_size(config.model, reader.header.d_model)
    loss_of(config.model.name, config.train.loss)
    pair_table(prepared, reader)
    if config.train.encoder_mode != "frozen":
        check_lengths(reader, config.model.max_length)
        weights_of_store(config, reader.header)
    positive = prepared.pairs.loc[prepared.pairs["split"] == "val", "positive"]
    if config.train.monitor == "auroc" and positive.nunique() < 2:
        raise InputError(
            f"the split val has only {'positive' if positive.all() else 'negative'} pairs, so no AUROC to choose "
            "the best weights by. Set train.monitor to 'loss', or put pairs of both kinds into val."
        )
