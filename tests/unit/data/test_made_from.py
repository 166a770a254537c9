"""The input files: looked for once, and told by names that do not say where they lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.config_data import DataSection
from snw_dist.data.made_from import input_files, made_from
from tests.kit.tiny import configured, write_project


def section(folder: Path) -> DataSection:
    """Three files, of which two lie deeper."""
    paths = {"ligands": folder / "fasta/a.fasta", "receptors": folder / "fasta/b.fasta", "pairs": folder / "pairs.csv"}
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    return DataSection(**{table: str(path) for table, path in paths.items()})


def test_names_are_those_below_the_deepest_folder_that_all_share(tmp_path: Path) -> None:
    inputs = input_files(section(tmp_path))
    assert inputs.names == {"ligands": "fasta/a.fasta", "receptors": "fasta/b.fasta", "pairs": "pairs.csv"}
    assert inputs.paths["pairs"] == tmp_path / "pairs.csv"


def test_what_data_are_made_from_does_not_say_where_the_files_lie(tmp_path: Path) -> None:
    here, there = section(tmp_path / "here"), section(tmp_path / "there/deeper")
    assert made_from(input_files(here), here, 7) == made_from(input_files(there), there, 7)
    assert made_from(input_files(here), here, 7) != made_from(input_files(here), here, 8)


def test_a_file_that_is_missing_is_told_by_its_setting(tmp_path: Path) -> None:
    data = section(tmp_path)
    Path(data.receptors).unlink()
    with pytest.raises(InputError, match=r"b\.fasta: no such file\. Correct data\.receptors"):
        input_files(data)


def test_who_may_use_the_data_does_not_make_them_other_data(tmp_path: Path) -> None:
    write_project(tmp_path, store=False)
    data = configured(tmp_path).data
    inputs = input_files(data)
    before = made_from(inputs, data, 1)
    assert made_from(inputs, dataclasses.replace(data, license="CC BY 4.0", folder="/elsewhere"), 1) == before
    assert made_from(inputs, dataclasses.replace(data, min_length=2), 1) != before
