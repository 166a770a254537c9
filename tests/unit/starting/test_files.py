"""Which files of a folder are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.starting.files import found_files
from tests.kit.own_files import sides


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sides(tmp_path)
    (tmp_path / "t.csv").write_text("x,y\n")
    (tmp_path / "README.txt").write_text("what we did\n")
    (tmp_path / ".hidden.csv").write_text("x\n")
    (tmp_path / "SNW_config.schema.json").write_text("{}\n")
    (tmp_path / "runs").mkdir()
    (tmp_path / "slurm-7.out").write_text("Loading modules\n")
    (tmp_path / "empty.out").write_text("")
    (tmp_path / "my_site.json").write_text('{\n  "description": "ours"\n}\n')
    return tmp_path


def test_what_is_inside_decides(folder: Path) -> None:
    found = found_files(folder, {})
    assert [path.name for path in found.fasta] == ["a.fa", "b.fa.gz"]
    assert (found.pairs.name, found.given) == ("t.csv", False)


def test_a_named_file_is_taken_and_the_others_are_found(folder: Path) -> None:
    found = found_files(folder, {"receptors": folder / "a.fa", "ligands": None})
    assert [path.name for path in found.fasta] == ["b.fa.gz", "a.fa"]
    assert found.given
    (folder / "other.csv").write_text("x\n")
    assert found_files(folder, {"pairs": folder / "other.csv"}).pairs.name == "other.csv"
    with pytest.raises(InputError, match=r"no\.csv: no such file"):
        found_files(folder, {"pairs": folder / "no.csv"})


def test_too_many_or_too_few_are_named(folder: Path) -> None:
    (folder / "other.csv").write_text("x\n")
    with pytest.raises(
        InputError, match=r"tables: other\.csv, t\.csv\..* neither by their ending: README.*Name what is"
    ):
        found_files(folder, {})
    (folder / "other.csv").unlink()
    (folder / "b.fa.gz").write_bytes((folder / "b.fa.gz").read_bytes()[:20])
    with pytest.raises(InputError, match=r"one FASTA file alone was found, a\.fa\..*Not read: .*b\.fa\.gz:1"):
        found_files(folder, {})
