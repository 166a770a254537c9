"""`launch/screen.py` as a user types it: the commands of the README, and one clear line for each mistake."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from hpc.errors import InputError
from launch import screen, status
from tests.kit.bundle_tools import bundled, compared_runs, measured_run, with_model
from tests.kit.readmes import blocks
from tests.kit.screen_tools import write_library
from tests.kit.tiny import launched


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With all that the commands of the README name."""
    folder = tmp_path_factory.mktemp("screened")
    bundled(measured_run(folder, **with_model("siamese")), folder / "handed_on")
    write_library(folder / "ligands.fasta", {8: 20}, 1, ">bad\nSIIN*FEKL\n")
    write_library(folder / "receptors.fasta", {12: 4}, 2)
    return folder


def test_the_commands_of_the_readme(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first as it stands, but on this machine and without the bad record; then status, and the first again."""
    lines = blocks("bash", "snw_dist/screen/README.md")[0].splitlines()
    _, script, *options = shlex.split(lines[0])
    assert script == "launch/screen.py"
    command = [*options, "--cluster", "local", "--on-invalid", "skip", "--device", "cpu"]
    done = launched(place, "screen", *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "21 records = 20 used + 0 merged + 1 rejected; 20 distinct sequences" in done.stdout
    assert "80 pairs, 80 hits in 80 rows" in done.stdout
    assert done.stdout.endswith("Report: screen/report.html\n")
    result = json.loads((place / "screen" / "result.json").read_text())
    files = {
        str(p.relative_to(place / "screen")) for name in ("hits", "csv") for p in (place / "screen" / name).iterdir()
    }
    assert set(result["files"]) == files | {"rejects.csv"}
    assert result["records"]["ligand"] == {
        "records": 21,
        "used": 20,
        "merged": 0,
        "rejected": 1,
        "distinct_sequences": 20,
    }
    assert len(pd.read_csv(place / "screen" / "csv" / "000001_receptors0.csv")) == 20
    assert "bad" in (place / "screen" / "rejects.csv").read_text()
    monkeypatch.chdir(place)
    _, script, *options = shlex.split(lines[-1])
    assert script == "launch/status.py"
    told = " ".join(CliRunner().invoke(status.app, options).output.split())
    assert re.search(r"screen-screen .*\bdone\b.*scores 80 / 80 pairs", told), told
    assert (place / "screen" / "report" / "hits_heat_map.svg").is_file()
    assert "has this result already" in CliRunner().invoke(screen.app, command).output


def refusal(place: Path, *options: str, bundle: str = "handed_on") -> str:
    files = ["--ligands", str(place / "ligands.fasta"), "--receptors", str(place / "receptors.fasta")]
    command = ["--bundle", str(place / bundle), *files, "--to", str(place / "new"), *options]
    done = CliRunner().invoke(screen.app, command)
    assert isinstance(done.exception, InputError), done.output
    assert not (place / "new").exists()
    return str(done.exception)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), r"ligands.fasta:\d+: bad: .*'\*'.*\n1 record cannot be used.*--on-invalid skip"),
        (("--top", "0"), "--top 0: give a number from 1 on"),
        (("--threshold", "1.5"), "--threshold 1.5: give a score from 0 to 1"),
        (("--vector-dtype", "int8"), "--vector-dtype int8: give float32 or float16"),
        (("--receptors", "none.fasta"), "--receptors none.fasta: no such file"),
        (("--array", "0"), "array.*greater than or equal to 1"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(place: Path, options: tuple[str, ...], said: str) -> None:
    assert re.search(said, refusal(place, *options), re.DOTALL)


def test_more_pairs_than_are_written_need_a_choice(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snw_dist.screen.preflight.MOST_ROWS", 79)
    said = refusal(place, "--on-invalid", "skip")
    assert "20 ligands with 4 receptors are 80 pairs, and more than 79 are not written" in said
    assert "--top N" in said


def test_a_folder_of_something_else_is_not_touched(place: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert "thesis.txt" in refusal(place, "--on-invalid", "skip", "--to", str(tmp_path))
    assert [*tmp_path.iterdir()] == [tmp_path / "thesis.txt"]


def test_a_dry_run_writes_nothing(place: Path) -> None:
    files = ["--ligands", str(place / "ligands.fasta"), "--receptors", str(place / "receptors.fasta")]
    command = ["--bundle", str(place / "handed_on"), *files, "--to", str(place / "dry"), "--on-invalid", "skip"]
    assert CliRunner().invoke(screen.app, [*command, "--dry-run"]).exit_code == 0
    assert not (place / "dry").exists()


def test_networks_without_vectors_and_several_members_are_refused(place: Path, tmp_path: Path) -> None:
    config = compared_runs(tmp_path, ["siamese", "cross_attention"], [1])
    bundled(config, place / "two", "all")
    said = refusal(place, bundle="two")
    assert re.search(r"has 2 members; one of these would do: siamese\S*\. .* --members .* --rerank", said)
    bundled(config, place / "slow", "cross_attention")
    said = refusal(place, bundle="slow")
    assert "this one is cross_attention" in said
    assert "this one as --rerank" in said
