"""The batch scripts of `slurm/` without Slurm: the shell takes them, and they ask for what a stopped job needs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted((ROOT / "slurm").glob("*.sbatch"))
STARTED_BY_SRUN = {"embed", "screen", "train"}


def sbatch_options(script: Path) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)(?:=(\S+))?$", script.read_text(), re.MULTILINE)
    assert len(found) == len(re.findall(r"^#SBATCH", script.read_text(), re.MULTILINE)), "a line that is not understood"
    return dict(found)


def test_there_is_one_for_each_command_that_a_cluster_is_for() -> None:
    assert {script.stem for script in SCRIPTS} == STARTED_BY_SRUN | {"predict"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_is_shell_that_starts_its_command(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)
    how = "--cluster allocation" if script.stem in STARTED_BY_SRUN else '--part "$SLURM_ARRAY_TASK_ID/$PARTS"'
    last = script.read_text().splitlines()[-1]
    assert last == f'exec python "$SNW_DIST/launch/{script.stem}.py" {how} "$@"'


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_stopped_job_is_queued_again_and_keeps_its_messages(script: Path) -> None:
    options = sbatch_options(script)
    assert options["requeue"] == ""
    assert options["open-mode"] == "append"
    assert options.get("signal") == ("USR2@120" if script.stem in STARTED_BY_SRUN else None)
    assert ("%A_%a" in options["output"]) == ("array" in options)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_what_a_site_changes_is_marked(script: Path) -> None:
    """No fact of a site stands anywhere else."""
    paragraphs = script.read_text().split("\n\n")
    marked = "\n".join(paragraph for paragraph in paragraphs if paragraph.startswith("# SITE"))
    for word in ("--account", "--partition", "--time", "--cpus-per-task", "SNW_DIST=", "gpu"):
        assert word in marked
        assert word not in "\n".join(p for p in paragraphs if not p.startswith("# SITE")).replace("$SNW_DIST", "")
