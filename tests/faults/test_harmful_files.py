"""Files that somebody has made to do harm are refused before anything is allocated or run."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.errors import CorruptError, InputError
from snw_dist.config import config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.header import StoreHeader, read_header
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.verify import verify_files
from tests.faults.test_odd_sizes import configuration
from tests.kit.ranks import run_ranks

pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harmful")
    config = configuration(folder, "store")
    ensure_prepared(config)
    for rank in run_ranks("snw_dist.embedding.run:run_embedding", 1, config_to_dict(config), folder / "job"):
        assert rank.returncode == 0, rank.log
    return config.store_path


def huge(metadata: dict[str, Any]) -> None:
    metadata["shape"][0] = 10**12


def huge_chunks(metadata: dict[str, Any]) -> None:
    metadata["chunk_grid"]["configuration"]["chunk_shape"][0] = 10**12


def another_codec(metadata: dict[str, Any]) -> None:
    metadata["codecs"] = [{"name": "pickle", "configuration": {}}]


@contextlib.contextmanager
def changed(file: Path, content: bytes | None = None) -> Iterator[None]:
    """Little memory is used inside; afterwards the file is as it was."""
    original = file.read_bytes()
    if content is not None:
        file.write_bytes(content)
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
        file.write_bytes(original)


@pytest.mark.parametrize("array", ["offsets", "lengths", "digests", "commits", "pooled", "ids", "residues"])
@pytest.mark.parametrize("change", [huge, huge_chunks, another_codec])
def test_metadata_that_promise_too_much(store: Path, array: str, change: Callable[[dict[str, Any]], None]) -> None:
    """The reader needs the first four; the others it does not open, and `--verify` tells."""
    file = store / array / "zarr.json"
    metadata = json.loads(file.read_bytes())
    change(metadata)
    with changed(file, json.dumps(metadata).encode()):
        if array in ("offsets", "lengths", "digests", "commits"):
            with pytest.raises(CorruptError, match=array):
                StoreReader(store)
        else:
            read_rows(StoreReader(store), 0)
        _, damage = verify_files(store)
        assert [item.file for item in damage] == [f"{array}/zarr.json"]
    assert verify_files(store)[1] == []


@pytest.mark.parametrize("field", ["row_width", "shard_rows", "num_sequences", "num_shards"])
def test_a_signed_header_that_promises_too_much(store: Path, field: str) -> None:
    header = read_header(store)
    with changed(store / "zarr.json"):
        StoreHeader(**{**vars(header), field: 10**12}).write(store)
        with pytest.raises((CorruptError, InputError)):
            StoreReader(store).read_batch(torch.empty(1, 1, header.row_width, dtype=torch.float16), [0], [0], [1])
    read_rows(StoreReader(store), 0)
