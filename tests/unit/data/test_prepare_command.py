"""`python launch/prepare.py` as a user starts it, from another folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snw_dist.config_file import load_config
from snw_dist.data.ensure import as_prepared
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS

REPOSITORY = Path(__file__).resolve().parents[3]


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def _prepare(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, str(REPOSITORY / "launch" / "prepare.py"), *arguments)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    for name, text in (("ligands.fasta", LIGANDS), ("receptors.fasta", RECEPTORS), ("pairs.csv", PAIRS)):
        (folder / name).write_text(text)
    (folder / "SNW_config.json").write_text("{}")
    return folder


def test_done(project: Path) -> None:
    result = _prepare(project, "--run", "first")
    assert (result.returncode, result.stderr) == (0, "")
    assert (project / "runs" / "first" / "data" / "summary.json").is_file()
    for word in ("ligands", "rejected", "train", "test", "50.0%", str(project / "runs" / "first" / "data")):
        assert word in result.stdout


def test_splits_that_carry_no_verdict_are_told(project: Path) -> None:
    said = _prepare(project).stdout
    needs = "and needs at least 20 pairs"  # of one class: only rank correlation is left
    val = "threshold and calibration are chosen by chance, as it has 1 positive and 0 negative pairs"
    assert f"Split val is too small: {val}, {needs}." in said
    assert (
        f"Split test is too small: no verdict will be given, as it has 0 positive and 1 negative pairs, {needs}."
        in said
    )
    assert "Split train" not in said
    rows = [(split, i) for split in ("train", "val", "test") for i in range(24)]
    pairs = "".join(f"{split}{i},rec{'AB'[i % 3 % 2]},{i % 2},{split}\n" for split, i in rows)
    (project / "pairs.csv").write_text(f"ligand_id,receptor_id,label,split\n{pairs}")
    middles = [f"{'ACDEFGHIKL'[at // 10]}M{'NPQRSTVWY'[at % 9]}{'ACDEFGHIKL'[at % 10]}" for at in range(72)]
    ligands = "".join(f">{split}{i}\n{middle}\n" for (split, i), middle in zip(rows, middles, strict=True))
    (project / "ligands.fasta").write_text(ligands)
    done = _prepare(project)
    assert (done.returncode, "too small" in done.stdout) == (0, False), done.stderr


def test_data_settings_of_the_command_line_hold_for_later_commands(project: Path) -> None:
    (project / "pairs.csv").rename(project / "others.csv")
    done = _prepare(project, "--set", "data.pairs=others.csv", "--set", "data.max_length=10", "--set", "train.epochs=3")
    assert (done.returncode, done.stderr) == (0, "")
    config = as_prepared(load_config(project / "SNW_config.json"))
    assert (config.data.pairs, config.data.max_length) == (str(project / "others.csv"), 10)
    assert config.train.epochs != 3


def test_bad_input_is_2_with_unwrapped_lines_and_no_traceback(project: Path) -> None:
    (project / "ligands.fasta").write_text(LIGANDS + ">bad\nM*K\n")
    result = _prepare(project)
    assert result.returncode == 2
    lines = result.stderr.splitlines()
    reason = "'*' at column 2 is not an amino acid. It marks a stop: one alone may stand at the very end. "
    reason += "Cut the sequence there or remove the record."
    assert lines[0] == f"error: {project / 'ligands.fasta'}:11: bad: {reason}"
    assert len(lines) == 2
    assert "--on-invalid skip" in lines[1]
    assert not (project / "runs").exists()

    result = _prepare(project, "--on-invalid", "skip")
    assert (result.returncode, result.stderr) == (0, "")
    rejects = project / "runs" / "run" / "data" / "rejects.csv"
    assert f"Rejected records are listed in {rejects}" in result.stdout
    assert rejects.read_text().splitlines()[1] == "ligands.fasta,11,bad,'*' at column 2 is not an amino acid,*"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere.json"], "error: nowhere.json: no such file."),
        (["--on-invalid", "maybe"], "data.on_invalid"),
        (["--run", "../x"], "run.name"),
        (["--confg", "x"], "No such option"),
    ],
)
def test_usage_mistakes_are_2(project: Path, arguments: list[str], message: str) -> None:
    result = _prepare(project, *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_unwritable_place_is_4(project: Path) -> None:
    (project / "runs").write_text("")
    result = _prepare(project)
    assert result.returncode == 4
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


def test_ids_that_look_like_markup_are_shown_as_they_are(project: Path) -> None:
    """Of two names of one sequence the audit shows both: `pep[/]` ended the command, of the other a part was lost."""
    names = ["pep[/]", "a[link=x]b", "=1+1"]
    (project / "ligands.fasta").write_text(LIGANDS + "".join(f">{name}\nACDEFGH\n" for name in names))
    (project / "pairs.csv").write_text(PAIRS + "".join(f"{name},recA,{i % 2},train\n" for i, name in enumerate(names)))
    result = _prepare(project, "--audit")
    assert (result.returncode, result.stderr) == (0, "")
    for name in names:
        assert name in result.stdout


def test_config_elsewhere_and_as_a_module(project: Path) -> None:
    (project / "other.json").write_text(json.dumps({"run": {"name": "second"}}))
    result = _run(REPOSITORY, "-m", "launch.prepare", "--config", str(project / "other.json"))
    assert (result.returncode, result.stderr) == (0, "")
    assert (project / "runs" / "second" / "data" / "pairs.parquet").is_file()


@pytest.mark.parametrize(
    ("statement", "code", "stderr"),
    [
        ("signal.signal(2, signal.default_int_handler); os.kill(os.getpid(), 2); time.sleep(9)", 130, ""),
        (
            "raise CorruptError('shard 3: damaged.\\nsecond line')",
            3,
            "error: shard 3: damaged.\nsecond line\n",
        ),
        ("raise Preempted('saved')", 75, "error: saved\n"),
        ("raise OSError(13, 'no', '/a/b\\x1b[31m')", 4, r"error: /a/b\x1b[31m: Permission denied. Look at owner, "),
        ("raise OSError(28, 'no', '/a')", 3, "error: /a: could not be written: No space left on device; "),
        ("pass", 0, ""),
    ],
)
def test_exit_codes_of_all_commands(statement: str, code: int, stderr: str) -> None:
    script = (
        "import os, signal, time\n"
        "from hpc.errors import CorruptError, Preempted\n"
        "from launch._cli import main, new_app\n"
        f"app = new_app()\n@app.command()\ndef command():\n    {statement}\nmain(app)"
    )
    result = _run(REPOSITORY, "-c", script)
    assert result.returncode == code
    assert result.stderr.startswith(stderr)
    assert result.stderr.count("\n") == stderr.count("\n") or not stderr.endswith("\n")
    assert "Traceback" not in result.stderr
