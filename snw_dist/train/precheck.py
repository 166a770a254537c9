"""What can be known about a training run before a job is submitted, without importing DeepSpeed."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from hpc.errors import EnvironmentProblem, InputError
from hpc.save.checkpoint import committed_checkpoints, step_of
from hpc.save.claims import refuse_in_use
from hpc.save.fence import OWNER
from snw_dist.config import Precision, SnwConfig
from snw_dist.data.ensure import with_prepared
from snw_dist.data.prepared import Prepared
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.extras import require
from snw_dist.model.build import check_size
from snw_dist.model.legal_losses import loss_of
from snw_dist.model.sides import check_sides
from snw_dist.predict.stored_pairs import indexed_pairs
from snw_dist.predict.tuned_encoder import check_lengths, weights_of_store
from snw_dist.train.plan import number_of_steps
from snw_dist.trained_run.folder import newest_meta, refuse_lost_checkpoints
from snw_dist.trained_run.lineage import Lineage
from snw_dist.trained_run.resumable import refuse_another_run, refuse_fewer_steps


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
    """All that can be known before a job is submitted; the data are prepared here if need be.

    Precision, network, store with every sequence, an encoder to be trained, and whether the run can be gone on with.
    Data that are there are replaced only when nothing is refused.
    """
    check_precision(config.train.precision, config.train.device)
    require(*([] if config.train.tracker is None else [config.train.tracker]))
    with_prepared(config, lambda prepared: _check_with_data(config, prepared), config.train.allow_changes)


def check_run_folder(config: SnwConfig, prepared: Prepared) -> None:
    """Refuse here what the job would refuse: `CorruptError` for lost checkpoints, `InputError` for the rest.

    That is checkpoints of another run or more steps, and a network that the sides of symmetric pairs matter to. By what
    the newest checkpoint says; the number of ranks, and a store that is not there yet, are left out.
    """
    check_sides(config.model.name, config.train.loss, prepared.symmetric)
    newest, section = newest_meta(config.run_folder), config.train
    if newest is None:
        if not committed_checkpoints(config.run_folder / "checkpoints"):
            refuse_lost_checkpoints(config.run_folder)
        return
    folder, meta = newest
    refuse_another_run(config, Lineage.of(prepared, config.run_folder), meta["trajectory"], meta["provenance"])
    num_pairs = int((prepared.pairs["split"] == "train").sum())
    num_steps = number_of_steps(num_pairs, section.global_batch_size, section.epochs, section.max_steps)
    refuse_fewer_steps(str(folder), step_of(folder), num_steps, section)


def check_run_folders(configs: Iterable[SnwConfig], prepared: Prepared) -> None:
    """The same for several runs on the same data."""
    for config in configs:
        check_run_folder(config, prepared)


def _check_with_data(config: SnwConfig, prepared: Prepared) -> None:
    reader = StoreReader(config.store_path)
    check_size(config.model, reader.header.row_width)
    loss_of(config.model.name, config.train.loss)
    indexed_pairs(prepared, reader)
    if config.train.encoder_mode != "frozen":
        check_lengths(reader, config.model.max_length)
        weights_of_store(config, reader.header)
    positive = prepared.pairs.loc[prepared.pairs["split"] == "val", "positive"]
    if config.train.monitor == "auroc" and positive.nunique() < 2:
        raise InputError(
            f"the split val has only {'positive' if positive.all() else 'negative'} pairs, so no AUROC to choose "
            "the best weights by. Set train.monitor to 'loss', or put pairs of both kinds into val."
        )
    check_run_folder(config, prepared)
    refuse_in_use([(config.run_folder, OWNER)])
