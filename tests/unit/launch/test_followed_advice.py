"""The advice of a refusal, followed to the letter: what was refused then works, and no other refusal comes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpc.errors import InputError
from launch import compare, embed, evaluate, prepare, train
from snw_dist.predict.export import read_export
from tests.kit.tiny import configured, launched

APPS = {"compare": compare, "embed": embed, "evaluate": evaluate, "prepare": prepare, "train": train}


@pytest.fixture
def folder(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(copy)
    return copy


def said(command: str) -> str:
    """Nothing where a command ends well, else what it says."""
    name, *arguments = command.split()
    done = CliRunner().invoke(APPS[name].app, arguments)
    return "" if done.exit_code == 0 else str(done.exception if isinstance(done.exception, InputError) else done.output)


def other_pairs(folder: Path) -> None:
    lines = (folder / "pairs.csv").read_text().splitlines()
    (folder / "pairs.csv").write_text("\n".join(lines[:-12]) + "\n")


def other_sequence(folder: Path) -> None:
    lines = (folder / "ligands.fasta").read_text().splitlines()
    (folder / "ligands.fasta").write_text("\n".join([lines[0], lines[1] + "W", lines[2], lines[3] + "W", *lines[4:]]))


def test_other_pairs_under_a_network(folder: Path) -> None:
    other_pairs(folder)
    for name in ("prepare", "embed", "train", "compare --models siamese"):
        assert "To replace the data all the same: snw-dist prepare --allow-changes" in said(name)
    assert not said("prepare --run new")
    assert not said("prepare --allow-changes")
    assert not said("embed")


def test_other_pairs_in_a_folder_that_runs_share(folder: Path) -> None:
    file = folder / "SNW_config.json"
    shared = configured(folder).run_folder / "data"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"data": {"folder": str(shared)} | _data(folder)}))
    (configured(folder).run_folder / "config.json").write_text(json.dumps({"data": {"folder": str(shared)}}))
    other_pairs(folder)
    for name in ("prepare", "prepare --run new"):  # which other runs would be given, too
        assert "Give --run NAME and another data.folder, because runs share this one" in said(name)
    assert not said("prepare --run new --set data.folder=elsewhere")


def _data(folder: Path) -> dict[str, object]:
    data: dict[str, object] = json.loads((folder / "SNW_config.json").read_text())["data"]
    return data


def test_an_id_that_has_another_sequence_than_in_the_store(folder: Path) -> None:
    """To append is no way out of it, so no message says so."""
    there = "--set store.path=own.zarr"
    done = launched(folder, "embed", *there.split())
    assert done.returncode == 0, done.stdout + done.stderr
    other_sequence(folder)
    for name in ("train", "embed", "embed --append", "compare --models siamese"):
        told = said(f"{name} --run new {there}")
        assert "ligand 'l0' is there with another sequence than in the present input, and 1 more" in told
        assert "Choose another store.path, or give the new sequence an id of its own" in told
        assert "--append" not in told
    (folder / "own_ids.fasta").write_text((folder / "ligands.fasta").read_text().replace(">l", ">new"))
    (folder / "own_ids.csv").write_text((folder / "pairs.csv").read_text().replace("\nl", "\nnew"))
    own = f"--run own {there} --set data.ligands=own_ids.fasta --set data.pairs=own_ids.csv"
    assert "2 sequences of the present input are not in it. Add them: snw-dist embed --append" in said(f"train {own}")


def test_validation_pairs_of_one_kind(folder: Path) -> None:
    """The advice is another monitor; a figure that is not known, the AUROC, once broke the export."""
    lines = ["ligand_id,receptor_id,label,split"]
    for number, line in enumerate((folder / "pairs.csv").read_text().splitlines()[1:]):
        ligand, receptor, label, *_ = line.split(",")
        split = ["train", "train", "val", "test"][number % 4]
        lines.append(f"{ligand},{receptor},{0 if split == 'val' else label},{split}")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    other = "--run new --set data.split.method=column"
    assert "Set train.monitor to 'loss'" in said(f"train {other}")
    done = launched(folder, "train", *other.split(), "--set", "train.monitor=loss")
    assert done.returncode == 0, done.stdout + done.stderr
    validation = read_export(folder / "runs" / "new" / "export")[1]["validation"]
    assert validation["auroc"] is None
    assert validation["loss"] > 0
    assert not said(f"evaluate {other}")


def test_compare_has_the_options_that_a_refusal_of_its_runs_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reached(*_: object, **__: object) -> None:
        raise InputError("every check of the runs is passed")

    monkeypatch.setattr("snw_dist.embedding.estimate.check_embedding", reached)
    (folder / "runs" / "tiny").rename(folder / "runs" / "tiny-siamese-1")
    shutil.copytree(folder / "runs" / "tiny-siamese-1" / "data", folder / "runs" / "tiny" / "data")
    other = "compare --models siamese --set train.learning_rate=0.1 --set train.precision=bf16"
    assert "--allow-precision-change --allow-changes continues with the new ones" in said(other)
    assert said(f"{other} --allow-precision-change --allow-changes") == "every check of the runs is passed"


def test_splits_are_advised_that_the_setting_takes(folder: Path) -> None:
    asked = "prepare --run new --set data.split.method=column"
    assert 'have one made: data.split.method = "ligand_cold", or "both_cold" with data.symmetric' in said(asked)
    given = "prepare --run new --set data.split.clusters=identical"
    assert not said(f"{given} --set data.split.method=ligand_cold")
    (folder / "receptors.fasta").write_text((folder / "ligands.fasta").read_text())
    pairs = [f"l{i},l{j},{(i + j) % 2}" for i in range(20) for j in range(i)]
    (folder / "pairs.csv").write_text("\n".join(["ligand_id,receptor_id,label", *pairs]) + "\n")
    assert not said(f"{given} --set data.symmetric=true --set data.split.method=both_cold")
