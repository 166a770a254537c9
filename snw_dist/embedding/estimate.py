"""What an embedding job will write, said and checked before it is submitted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hpc.amounts import count_of, short
from hpc.disk.storage import free_bytes, stored_below
from hpc.errors import EnvironmentProblem, InputError
from hpc.save.claims import refuse_in_use
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import Prepared
from snw_dist.embedding.encoder import RANDOM_NAME, load_encoder_weights
from snw_dist.embedding.esmc.packed import numbered
from snw_dist.embedding.past_speed import expected_time
from snw_dist.embedding.run import input_tables, layers_of, plan_work
from snw_dist.embedding.store.dtypes import stored_dtype
from snw_dist.embedding.store.header import StoreHeader, read_header
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.part_names import RECORDS, owner_name
from snw_dist.embedding.store.part_plan import PartPlan, complete_parts
from snw_dist.embedding.weights.read import read_shape

_TABLE_FILES = 20  # metadata and small arrays of a part; `pooled` of a large store has a few more


@dataclass(frozen=True)
class StoreEstimate:
    """Size of the part that a job will fill."""

    num_sequences: int
    num_residues: int
    num_shards: int
    num_files: int
    num_bytes: int

    @staticmethod
    def of(planned: PartPlan, row_width: int, logical_dtype: str) -> StoreEstimate:
        """Count the files and bytes of a planned part, with its records while it is being filled."""
        plan = planned.plan
        row_bytes = row_width * stored_dtype(logical_dtype).itemsize
        layout = ShardLayout.of(plan.shard_rows, plan.chunk_rows, row_bytes)
        chunks = sum(-(-int(plan.lengths_of(shard).sum()) // plan.chunk_rows) for shard in range(plan.num_shards))
        pooled = len(plan.sequences) * row_width * 4
        return StoreEstimate(
            num_sequences=len(plan.sequences),
            num_residues=plan.num_residues,
            num_shards=plan.num_shards,
            num_files=2 * plan.num_shards + _TABLE_FILES,
            num_bytes=chunks * layout.stride + plan.num_shards * 16 * layout.num_chunks + 2 * pooled,
        )


def check_embedding(
    config: SnwConfig, prepared: Prepared, append: bool, tasks: Iterable[int] | None = None
) -> str | None:
    """What the job will do, in a line, or None when there is nothing to do; raises when it cannot be done.

    `tasks`: those of the array that are to be started; None is all.
    The weights are there (a hub id is fetched into the cache) and are an ESM C by their names, types and shapes, the
    store takes what is asked for, no other job is filling it, and neither its files nor its bytes are beyond
    `store.max_files` (`InputError`) and the free space (`EnvironmentProblem`).
    """
    encoder = config.encoder
    if encoder.name == RANDOM_NAME or encoder.weights is None:
        shape = load_encoder_weights(encoder.name, encoder.weights, None, None).weights.shape
    else:
        shape = read_shape(encoder.weights, encoder.revision)
    try:
        layers = numbered(layers_of(config), shape.num_layers)
    except ValueError as error:
        raise InputError(f"encoder.layer: {error}") from None
    width = shape.d_model
    if encoder.combine == "concat":
        width *= len(layers)
    parts = complete_parts(config.store_path)
    if parts:
        _refuse_other_rows(config, read_header(parts[0]), layers)
    planned = plan_work(config, input_tables(prepared), parts, append)
    if planned is None:
        return None
    refuse_in_use((planned.path / RECORDS, owner_name(task)) for task in tasks or range(config.cluster.array))
    estimate = StoreEstimate.of(planned, width, config.store.dtype)
    free = free_bytes(planned.path)
    text = (
        f"{planned.path}: {estimate.num_sequences:,} distinct sequences, {estimate.num_residues:,} residues of "
        f"{width} {config.store.dtype}: {count_of(estimate.num_shards, 'shard')}, "
        f"at most {estimate.num_files:,} files, "
        f"{short(estimate.num_bytes, 'B')} ({short(free, 'B')} free)"
    )
    if estimate.num_files > config.store.max_files:
        raise InputError(
            f"{text}. That is more than store.max_files = {config.store.max_files:,}: raise store.shard_rows "
            f"({config.store.shard_rows:,} now) for fewer, larger files."
        )
    if estimate.num_bytes > free + stored_below(planned.path)[0]:
        raise EnvironmentProblem(f"{text}. There is not enough room: choose another store.path, or make room.")
    return f"{text}. {expected_time(config, estimate.num_residues)}"


def _refuse_other_rows(config: SnwConfig, made: StoreHeader, layers: list[int]) -> None:
    """A complete store of other rows is not what is asked for, although it has every sequence."""
    there = {"encoder.layer": made.encoder["layers"], "store.dtype": made.logical_dtype}
    wanted: dict[str, object] = {"encoder.layer": layers, "store.dtype": config.store.dtype}
    if len(layers) > 1:
        there["encoder.combine"], wanted["encoder.combine"] = made.encoder["combine"], config.encoder.combine
    other = [f"{key}: {there[key]} there, {wanted[key]} asked for" for key in wanted if there[key] != wanted[key]]
    if other:
        raise InputError(
            f"{config.store_path}: complete, but made with other settings ({'; '.join(other)}). Choose another "
            "store.path, or the settings of the store."
        )
