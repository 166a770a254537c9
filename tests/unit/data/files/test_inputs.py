"""The input files: looked for once, and told by names that do not say where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.data.files.inputs import TABLES, input_files


def three_files(folder: Path) -> dict[str, Path]:
    """Of which two lie deeper."""
    (folder / "fasta").mkdir()
    paths = {"ligands": folder / "fasta/a.fasta", "receptors": folder / "fasta/b.fasta", "pairs": folder / "pairs.csv"}
    for path in paths.values():
        path.write_text("x")
    return paths


def found(paths: dict[str, Path]) -> dict[str, str]:
    return dict(input_files(**{table: str(path) for table, path in paths.items()}).names)


def test_names_are_those_below_the_deepest_folder_that_all_share(tmp_path: Path) -> None:
    paths = three_files(tmp_path)
    assert found(paths) == {"ligands": "fasta/a.fasta", "receptors": "fasta/b.fasta", "pairs": "pairs.csv"}
    assert tuple(found(paths)) == TABLES


def test_files_that_share_no_folder_but_the_root_keep_their_whole_paths(tmp_path: Path) -> None:
    paths = three_files(tmp_path) | {"ligands": Path("/etc/passwd")}
    assert found(paths) == {table: str(path) for table, path in paths.items()}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_told_by_its_setting(tmp_path: Path, kind: str, table: str) -> None:
    paths = three_files(tmp_path)
    paths[table].unlink()
    if kind == "folder":
        paths[table].mkdir()
    if kind == "pipe":
        os.mkfifo(paths[table])
    message = "no such file" if kind == "missing" else "not a regular file"
    with pytest.raises(InputError, match=rf"{paths[table].name}: {message}\. Correct data\.{table}"):
        found(paths)
