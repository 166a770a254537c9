"""A small store's header, and an export beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snw_dist.embedding.store.header import StoreHeader
from tests.kit.export_tools import written
from tests.kit.train_tools import stored


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> StoreHeader:
    return stored(tmp_path_factory.mktemp("stored") / "store.zarr", ["ACD", "EFG"]).header


@pytest.fixture
def export(tmp_path: Path, header: StoreHeader) -> Path:
    return written(tmp_path / "export", header)
