"""What prepared tables were made from, so that they are made again exactly when that changes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

from hpc.disk.files import file_digest
from snw_dist.config_data import DataSection
from snw_dist.data.files.entries import score_paths
from snw_dist.data.files.inputs import TABLES, InputFiles
from snw_dist.data.tables import FORMAT

_LATER = {"data.columns.ligand_sequence": None, "data.columns.receptor_sequence": None, "data.scores.unit": "nM"}
"""Settings that are not told while they have this value: what was made before there were any is not made again."""


def made_from(inputs: InputFiles, data: DataSection, seed: int) -> dict[str, Any]:
    """SHA-256 of the input files, and the data settings by their names (short names for paths, the seed of the split).

    The score files that the pair table names count as one input.
    """
    names = {table: inputs.names.get(table) for table in TABLES}
    settings = flat("data", dataclasses.asdict(data) | names) | {"data.split.seed": seed}
    for key, default in _LATER.items():
        if settings[key] == default:
            del settings[key]
    for key in ("data.folder", "data.license"):  # where data go, and who may use them, is not what they are made from
        del settings[key]
    digests = {str(table): file_digest(path) for table, path in inputs.paths.items()}
    if data.columns.score_file:
        files = score_paths(inputs.paths["pairs"], data.columns.score_file)
        joined = "".join(file_digest(file) if file.is_file() else "missing" for file in files)
        digests["score_files"] = hashlib.sha256(joined.encode()).hexdigest()
    return {"format": FORMAT, "inputs": digests, "settings": settings}


def flat(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings as one level of dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(f"{name}.{key}", value) if isinstance(value, Mapping) else {f"{name}.{key}": value}
    return found
