"""The `inputs` fixture of the data tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from snw_dist.config import SnwConfig, config_from_dict
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS, Inputs


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:

    def write(
        ligands: str | bytes = LIGANDS,
        receptors: str | bytes = RECEPTORS,
        pairs: str | bytes = PAIRS,
        names: tuple[str, str, str] = ("ligands.fasta", "receptors.fasta", "pairs.csv"),
        seed: int = 1,
        **data: Any,
    ) -> SnwConfig:
        paths = [tmp_path / name for name in names]
        for path, content in zip(paths, (ligands, receptors, pairs), strict=True):
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        files = dict(zip(("ligands", "receptors", "pairs"), map(str, paths), strict=True))
        config = config_from_dict({"data": {**files, **data}, "run": {"seed": seed}})
        return dataclasses.replace(config, run=dataclasses.replace(config.run, folder=str(tmp_path / "runs")))

    return write
