"""How the embedding job finds its store: absent, half filled, complete, or another one's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from embedding_tools import WIDTH, files_of, fill_store, header_of, names_of

from hpc.errors import InputError
from snw_dist.config import config_from_dict
from snw_dist.data.prepared import Prepared
from snw_dist.embedding.plan import plan_embedding
from snw_dist.embedding.run import _open_store, plan_store
from snw_dist.embedding.store import PARTS, finalize_store

SEQUENCES = ["ACDEF" * 3, "GHI", "KLMNPQRST" * 3, "VWY" * 9]


def test_absent_half_filled_complete(tmp_path: Path) -> None:
    path, plan = tmp_path / "deep" / "store.zarr", plan_embedding(SEQUENCES, 32, 8)
    header, names = header_of(plan, "float32"), names_of(plan)
    assert plan.num_shards == 3
    assert _open_store(path, plan, header, names) == [0, 1, 2]
    fill_store(path, plan, [1])
    assert _open_store(path, plan, header, names) == [0, 2]
    fill_store(path, plan)
    assert _open_store(path, plan, header, names) == []
    shutil.copytree(path / PARTS, tmp_path / "parts")
    finalize_store(path, plan, WIDTH)
    before = files_of(path)
    assert _open_store(path, plan, header, names) is None
    shutil.copytree(tmp_path / "parts", path / PARTS)  # killed after the last commit, before the records were removed
    assert _open_store(path, plan, header, names) is None
    assert files_of(path) == before


def test_a_store_of_other_settings(tmp_path: Path) -> None:
    path, plan = tmp_path / "store.zarr", plan_embedding(SEQUENCES, 32, 8)
    _open_store(path, plan, header_of(plan, "float32"), names_of(plan))
    with pytest.raises(InputError, match="logical_dtype: 'float32' there, 'float16' now"):
        _open_store(path, plan, header_of(plan, "float16"), names_of(plan))


def test_every_name_keeps_its_sequence() -> None:
    ligands = {"b": "GHI", "a": "ACDEF", "alias": "GHI"}
    receptors = {"a": "KLMNP", "r": "GHI"}
    config = config_from_dict({"store": {"shard_rows": 8, "chunk_rows": 4}})
    plan, names = plan_store(Prepared(ligands, receptors, pd.DataFrame(), {}), config)
    assert plan.sequences == ("GHI", "ACDEF", "KLMNP")
    assert [(kind, name, plan.sequences[i]) for kind, name, i in names] == [
        ("ligand", "a", "ACDEF"),
        ("ligand", "alias", "GHI"),
        ("ligand", "b", "GHI"),
        ("receptor", "a", "KLMNP"),
        ("receptor", "r", "GHI"),
    ]
