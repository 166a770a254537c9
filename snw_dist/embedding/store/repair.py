"""Mending a damaged part: only what is bad is made again, and it has the bytes that it had."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from hpc.disk.files import atomic_write_bytes
from hpc.errors import CorruptError
from snw_dist.embedding.store.commits import pool_shard, shard_path
from snw_dist.embedding.store.group import (
    ShardResult,
    checksums,
    complete_header,
    table_files,
    write_results,
    write_skeleton,
)
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.embedding.store.open_shard import OpenShard
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.verify import FOREIGN, Damage


def repair_files(planned: PartPlan, header: StoreHeader, damage: Iterable[Damage], work: Path) -> None:
    """Make the damaged files of a part again; its shards must be sound by now.

    `header` is the part's own where that is sound, and then says what every file must become; else the one that the
    plan gives. `work` is a folder of the caller's own. Raises `CorruptError` when the present input does not give the
    bytes that were there.
    """
    part = planned.path
    bad = {item.file for item in damage if item.shard is None and item.what != FOREIGN}
    for item in damage:
        if item.what == FOREIGN:
            (part / item.file).unlink(missing_ok=True)
    staging = work / "mending"
    try:
        write_skeleton(staging, planned.plan, header, planned.names)
        if not header.complete or any(name.startswith(("pooled/", "commits/")) for name in bad):
            write_results(staging, header, _from_shards(planned, header))
        for name in table_files(staging) if not header.complete else sorted(bad):
            data = (staging / name).read_bytes() if (staging / name).is_file() else b""
            if header.complete and hashlib.sha256(data).hexdigest() != header.files[name]:
                raise CorruptError(
                    f"{part / name}: the present input does not give what was there (other ids?). Prepare the "
                    "input that the store was made from, or remove the store and embed again."
                )
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            atomic_write_bytes(part / name, data)
        if not header.complete:
            complete_header(header, checksums(part)).write(part)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _from_shards(planned: PartPlan, header: StoreHeader) -> Iterator[ShardResult]:
    for shard in range(header.num_shards):
        opened = OpenShard(shard_path(planned.path, shard), header.layout)
        pooled = pool_shard(opened, header.logical_dtype, header.row_width, planned.plan.lengths_of(shard))
        yield opened.digest(), planned.plan.sequences_crc(shard), pooled
