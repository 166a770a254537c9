"""What prepared tables are made from: contents and settings, and not where the files lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from snw_dist.config_data import DataSection
from snw_dist.data.files.inputs import input_files
from snw_dist.data.made_from import made_from
from tests.kit.tiny import configured, write_project


def origin(folder: Path, seed: int = 7, pairs: str = "pairs") -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"ligands": folder / "a.fasta", "receptors": folder / "b.fasta", "pairs": folder / "pairs.csv"}
    for path in paths.values():
        path.write_text(pairs if path.suffix == ".csv" else path.name)
    data = DataSection(**{table: str(path) for table, path in paths.items()})
    return made_from(input_files(data.ligands, data.receptors, data.pairs), data, seed)


def test_content_and_settings_count_and_the_folder_does_not(tmp_path: Path) -> None:
    here = origin(tmp_path / "here")
    assert here == origin(tmp_path / "there/deeper")
    assert here != origin(tmp_path / "here", seed=8)
    assert here != origin(tmp_path / "here", pairs="other pairs")


def test_who_may_use_the_data_does_not_make_them_other_data(tmp_path: Path) -> None:
    write_project(tmp_path, store=False)
    data = configured(tmp_path).data
    inputs = input_files(data.ligands, data.receptors, data.pairs)
    before = made_from(inputs, data, 1)
    assert made_from(inputs, dataclasses.replace(data, license="CC BY 4.0", folder="/elsewhere"), 1) == before
    assert made_from(inputs, dataclasses.replace(data, min_length=2), 1) != before
