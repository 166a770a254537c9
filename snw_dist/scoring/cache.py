"""The store that `cache=` names: what it holds is not embedded again. Only here does scoring read stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpc.errors import InputError
from snw_dist.bundle.format import RowsEntry
from snw_dist.extras import require

if TYPE_CHECKING:
    from snw_dist.embedding.store.reader import StoreReader


def cache_of(path: Path, rows: RowsEntry) -> StoreReader:
    """A finished store of such rows.

    Raises `EnvironmentProblem` where what reads stores is not installed, and `InputError` for a store of other rows.
    """
    require("crc32c")
    from snw_dist.embedding.store.reader import StoreReader

    store = StoreReader(path)
    if store.header.rows_digest != rows.sha256:
        raise InputError(f"{path}: not a store of the rows that the networks were trained on: other encoder or type.")
    return store
