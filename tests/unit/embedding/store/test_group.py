"""The store as a Zarr group: created whole, finished clean, the same bytes in whatever order."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.group import create_part, finalize_part, tidy_part
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.open_shard import OpenShard
from snw_dist.embedding.store.part_names import RECORDS
from snw_dist.embedding.store.plan import plan_embedding, sequence_digest
from snw_dist.embedding.store.shard_file import crc32c
from tests.kit.embedding_tools import (
    SEQUENCES,
    WIDTH,
    as_zarr,
    committed,
    files_of,
    fill_store,
    finished_store,
    header_of,
    names_of,
    open_store,
)


def test_names_digests_and_commits(tmp_path: Path) -> None:
    path = tmp_path / "s"
    plan = finished_store(path, SEQUENCES)
    tables = {name: np.asarray(as_zarr(path, name)[...]) for name in ("ids", "id_sequence", "digests", "commits")}
    names = [tuple(line.split("\t")) for line in tables["ids"].tobytes().decode().split("\n")]
    assert [(*name, index) for name, index in zip(names, tables["id_sequence"].tolist(), strict=True)] == names_of(plan)
    assert [digest.tobytes() for digest in tables["digests"]] == [sequence_digest(s) for s in plan.sequences]
    for shard, (digest, text_crc) in enumerate(tables["commits"].tolist()):
        assert digest == OpenShard(shard_path(path, shard), ShardLayout(4, 8 * WIDTH * 4)).digest()
        text = "\n".join(plan.sequences[i] for i in plan.shard_sequences(shard))
        assert text_crc == crc32c(text.encode())
    assert not (path.parent / "Äther").exists()  # a name is never a path


def test_a_finished_store_is_a_clean_group(tmp_path: Path) -> None:
    """Warnings are errors here, so a foreign file or folder in the group would fail this test."""
    path = tmp_path / "s"
    plan = open_store(path, SEQUENCES)
    fill_store(path, plan)
    (path / ".zarr.json.0a1b2c.partial").write_bytes(b"a killed writer left this")
    (path / "residues" / ".c.0.0.0a1b2c.partial").write_bytes(b"and this")
    finalize_part(path, plan)
    group = zarr.open_group(path, mode="r")
    names = {"residues", "offsets", "lengths", "digests", "ids", "id_sequence", "pooled", "commits"}
    assert {name for name, _ in group.members()} == names
    assert "residues" in str(group.tree())
    assert {f.name for f in path.iterdir()} == names | {"zarr.json"}
    assert {f.name for f in (path / "residues").iterdir()} == {"zarr.json"} | {
        f"c.{shard}.0" for shard in range(plan.num_shards)
    }
    assert all(array.nchunks_initialized == array.nchunks for _, array in group.arrays())


def test_a_name_written_while_the_records_go_does_not_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The heart of the owner says whose the folder is, also in the instant before it is removed."""
    path, late, rmdir = tmp_path / "s", ["attempt_0.json"], os.rmdir
    plan = open_store(path, SEQUENCES)
    fill_store(path, plan)

    def slow(folder: Any, **options: Any) -> None:
        if Path(folder).name == RECORDS and late:
            (path / RECORDS / late.pop()).write_text("{}")
        rmdir(folder, **options)

    (path / RECORDS).mkdir(exist_ok=True)
    monkeypatch.setattr(os, "rmdir", slow)
    tidy_part(path)
    assert not late
    assert not (path / RECORDS).exists()


def test_the_order_of_the_shards_leaves_no_trace(tmp_path: Path) -> None:
    plan = finished_store(tmp_path / "a", SEQUENCES, "float16")
    order = list(range(plan.num_shards))
    random.Random(1).shuffle(order)
    finished_store(tmp_path / "b", [*SEQUENCES[::-1], SEQUENCES[0]], "float16", [*order, order[0]])
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")


def test_finishing_twice_changes_nothing(tmp_path: Path) -> None:
    """A kill anywhere in the last step is met by doing it again."""
    plan = open_store(tmp_path / "s", SEQUENCES)
    fill_store(tmp_path / "s", plan)
    shutil.copytree(tmp_path / "s" / RECORDS, tmp_path / "parts")
    finalize_part(tmp_path / "s", plan)
    before = files_of(tmp_path / "s")
    shutil.copytree(tmp_path / "parts", tmp_path / "s" / RECORDS)
    shutil.rmtree(tmp_path / "s" / "commits")
    finalize_part(tmp_path / "s", plan)
    assert files_of(tmp_path / "s") == before


def test_a_store_is_created_whole_or_not_at_all(tmp_path: Path) -> None:
    plan = plan_embedding(SEQUENCES, 32, 8)
    header = header_of(plan, "float32")
    create_part(tmp_path / "s", plan, header, names_of(plan))
    assert {f.name for f in tmp_path.iterdir()} == {"s"}
    fill_store(tmp_path / "s", plan, [0])
    create_part(tmp_path / "s", plan, header, names_of(plan))  # by another task of an array, at the same time
    assert committed(tmp_path / "s", plan) == {0}
    assert {f.name for f in tmp_path.iterdir()} == {"s"}
