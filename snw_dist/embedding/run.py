"""The embedding job: every rank claims shards, computes them and commits them; rank 0 opens and closes the store."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hpc.disk.json_lines import JsonLines
from hpc.errors import EnvironmentProblem, InputError, Preempted
from hpc.job.runtime import Runtime
from hpc.machine.matrix_rate import matrix_rate
from hpc.ranks.work_queue import claim_units, shared_counter
from hpc.save.fence import Fence, claimed_together
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.embedding.encoder import Encoder, build_encoder, load_encoder_weights
from snw_dist.embedding.esmc.batch_size import agreed_tokens_per_batch
from snw_dist.embedding.meter import Meter
from snw_dist.embedding.store.commits import is_committed, num_without_record
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.embedding.store.group import create_part, finalize_part, tidy_part
from snw_dist.embedding.store.header import GROUP, StoreHeader, check_same_plan, encoder_identity, read_header
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.part_names import RECORDS, owner_name
from snw_dist.embedding.store.part_plan import (
    PartPlan,
    Tables,
    check_mixes,
    complete_parts,
    is_complete,
    lacking,
    missing_sequences,
    plan_part,
    read_content,
    refuse_other_sequences,
)
from snw_dist.embedding.store.writer import ShardWriter
from snw_dist.embedding.weights.reference import check_parity

OWNER = owner_name(0)
"""Claims of whoever fills a part, or mends it, by itself; every other task of an array has its own number."""
log = logging.getLogger(__name__)


def run_embedding(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: fill the store of a run."""
    _embed(config_from_dict(values), runtime, append=False)


def run_append(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: add the sequences that the store does not hold yet, as a part of its own."""
    _embed(config_from_dict(values), runtime, append=True)


def input_tables(prepared: Prepared) -> Tables:
    """The sequences of a run by kind and id."""
    return (("ligand", prepared.ligands), ("receptor", prepared.receptors))


def layers_of(config: SnwConfig) -> list[int]:
    """The layers asked for."""
    layer = config.encoder.layer
    return layer if isinstance(layer, list) else [layer]


def plan_work(config: SnwConfig, tables: Tables, parts: list[Path], append: bool) -> PartPlan | None:
    """The part that has to be filled when `parts` are complete; None when they hold everything.

    Raises `InputError` when the store is complete but made from other input, and nothing may be appended.
    """
    store, section = config.store_path, config.store
    content = read_content(parts)
    missing = missing_sequences(tables, content)
    if not parts and append:
        raise InputError(f"{store}: there is no complete store to append to. Make it first: snw-dist embed")
    if not missing:
        return None
    if parts and not append:
        refuse_other_sequences(store, tables, content)
        raise lacking(store, len(missing))
    return plan_part(store, tables, missing, content, section.shard_rows, section.chunk_rows)


def prepare_encoder(config: SnwConfig, runtime: Runtime, tables: Tables) -> Encoder:
    """Collective: the encoder on every rank's device, the same on all, compared with the reference if asked for.

    Raises `EnvironmentProblem` where the ranks do not have the same one.
    """
    section = config.encoder
    loaded = load_encoder_weights(section.name, section.weights, section.revision, section.sha256)
    encoder = build_encoder(
        section.name,
        loaded,
        runtime.device,
        section.precision,
        layers_of(config),
        section.combine,
        section.tokens_per_batch or 1,
    )
    if len(set(runtime.comm.gather(str(encoder_identity(encoder.facts))))) != 1:
        raise EnvironmentProblem(
            "the ranks do not have the same encoder: other weights, device or arithmetic on some node"
        )
    if section.verify:
        sequences = [sequence for _, table in tables for sequence in table.values()]
        parity = check_parity(encoder.model, loaded, sequences)
        log.info(
            "encoder verified on %d sequences: largest difference from transformers %.1e of the largest value, in a "
            "batch from alone %.1e",
            parity.num_sequences,
            parity.against_reference,
            parity.alone_against_batch,
        )
    return encoder


def _embed(config: SnwConfig, runtime: Runtime, append: bool) -> None:
    tables = input_tables(load_prepared(config.data_folder))
    encoder = prepare_encoder(config, runtime, tables)
    while (planned := _plan(config, runtime, tables, append)) is not None:
        header = planned.header(encoder.facts, config.store.dtype, encoder.model.row_width)
        opened = functools.partial(_open, config.store_path, planned, header, runtime)
        with claimed_together(runtime.comm, opened) as fence:
            if fence is None:  # another job has completed this part meanwhile
                continue
            num_sharing = 1 if runtime.device.type == "cuda" else runtime.topology.local_world_size  # a GPU has one
            encoder.tokens_per_batch = config.encoder.tokens_per_batch or agreed_tokens_per_batch(
                encoder.model, runtime.comm, num_sharing, planned.path / RECORDS
            )
            _fill(config, runtime, encoder, planned, header, fence)
            runtime.comm.on_rank_0(functools.partial(_close, planned, fence.work))
        return
    log.info("%s is complete already", config.store_path)


def _plan(config: SnwConfig, runtime: Runtime, tables: Tables, append: bool) -> PartPlan | None:
    """Collective: the part to fill; what kills have left in the complete ones is removed."""

    def look() -> list[str]:
        parts = complete_parts(config.store_path)
        for part in parts:
            _tidy(part, runtime.attempt)
        return [str(part) for part in parts]

    return plan_work(config, tables, [Path(part) for part in runtime.comm.on_rank_0(look)], append)


def _tidy(part: Path, attempt: str) -> None:
    if not (part / RECORDS).exists():
        return
    try:
        Fence(part / RECORDS, attempt, OWNER).release()
    except EnvironmentProblem as error:  # it is being mended, or another job is just about to do the same
        log.info("%s", error)
        return
    tidy_part(part)


def _open(store: Path, planned: PartPlan, header: StoreHeader, runtime: Runtime) -> Fence | None:
    """Claim a part, then make what it needs before its shards; None when another job has completed it meanwhile."""
    part, fence = planned.path, None
    if is_complete(part):
        return None
    if planned.part:
        check_mixes(store, header)
    if (part / GROUP).exists():
        check_same_plan(part, read_header(part), header)
    try:
        fence = Fence(part / RECORDS, runtime.attempt, owner_name(runtime.array_task))
        if not is_complete(part):
            create_part(part, planned.plan, header, planned.names, fence.work)
            return fence
    except Exception:
        if not is_complete(part):
            if fence is not None:
                fence.release()
            raise
    if fence is not None:
        fence.release()
    return None


def _close(planned: PartPlan, work: Path) -> None:
    """Finish the part, unless other array tasks still have shards to do."""
    part, plan = planned.path, planned.plan
    if is_complete(part):  # another job was faster; what this one has made since goes too
        tidy_part(part)
    elif left := num_without_record(part, plan, range(plan.num_shards)):
        log.info("%s: this task has done its share, %d shards of other tasks are left", part, left)
        return
    else:
        finalize_part(part, plan, work)
    log.info("%s is complete: %d sequences", part, len(plan.sequences))


def own_shards(plan_shards: int, task: int, num_tasks: int) -> list[int]:
    """Shards of an array task, the costliest first, so that no rank begins a long one when the others end.

    Shards are sorted by the length of their sequences, so tasks that take every n-th have equal shares.
    """
    return list(range(task, plan_shards, num_tasks))[::-1]


def _fill(
    config: SnwConfig, runtime: Runtime, encoder: Encoder, planned: PartPlan, header: StoreHeader, fence: Fence
) -> None:
    """Compute and commit this rank's share; a stop request is honoured between forward passes."""
    plan, part, model = planned.plan, planned.path, encoder.model
    shards = own_shards(plan.num_shards, runtime.array_task, runtime.num_array_tasks)
    limit = matrix_rate(model.shape.products, model.device, model.dtype)
    dtype, on_gpu = torch_dtype(config.store.dtype), model.device.type == "cuda"
    records = JsonLines(config.run_folder / "embedding" / _record_name(runtime))
    meter = Meter(runtime.progress, sum(int(plan.lengths_of(shard).sum()) for shard in shards), limit)
    try:
        with (
            ShardWriter(part, plan, model.row_width, dtype, fence, on_gpu) as writer,
            shared_counter(runtime.comm, f"embed-{runtime.attempt}", runtime.mpi) as counter,
        ):
            claimed = (shards[unit] for unit in claim_units(runtime.comm, counter, len(shards)))
            open_shards = _open_shards(claimed, runtime, planned, header.layout, meter)
            for batch in encoder.embed_tasks(open_shards, lambda: writer.buffer):
                meter.add(batch)
                if batch.ends:
                    waited_s = writer.waited_s
                    writer.commit(batch.task)
                    facts = {"attempt": runtime.attempt, "tokens_per_batch": encoder.tokens_per_batch}
                    timing = {"waited_for_writer_s": writer.waited_s - waited_s, "at": time.time()}
                    records.write({"shard": batch.task, **meter.record(), **timing, **facts})
                if runtime.stop_requested():
                    break
    except (EnvironmentProblem, OSError):
        if not is_complete(part):
            raise
        log.info("%s: another job has completed it", part)
    meter.end()
    records.close()
    if runtime.comm.any(runtime.stop_requested()):
        done = len(shards) - num_without_record(part, plan, shards) if runtime.comm.rank == 0 else None
        raise Preempted("asked to stop; committed shards are kept, start the same command again to go on", done)


def _open_shards(
    claimed: Iterable[int], runtime: Runtime, planned: PartPlan, layout: ShardLayout, meter: Meter
) -> Iterator[tuple[int, list[str]]]:
    """The claimed shards that are not committed, each with its sequences, until there is a reason to stop."""
    plan = planned.plan
    for shard in claimed:
        if runtime.stop_requested() or is_complete(planned.path):
            return  # complete: another job saw the last record, and the records are gone
        if is_committed(planned.path, plan, shard, layout):
            meter.skip(int(plan.lengths_of(shard).sum()))
        else:
            yield shard, [plan.sequences[i] for i in plan.shard_sequences(shard)]


def _record_name(runtime: Runtime) -> str:
    task = f"task_{runtime.array_task:05d}_" if runtime.num_array_tasks > 1 else ""
    return f"{task}rank_{runtime.topology.rank:05d}.jsonl"
