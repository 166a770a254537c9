"""The batch scripts of `slurm/`, submitted by sbatch as a user does: stopped, queued again, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from snw_dist.embedding.store.header import read_header
from tests.kit.screen_tools import result_of
from tests.slurm.conftest import (
    DATA,
    Cluster,
    Workplace,
    exported,
    made,
    rank_pid,
    screen_options,
    steps_done,
    wait_until,
)

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]


def ends(cluster: Cluster, workplace: Workplace, job_id: str, states: set[str], tasks: int = 1) -> None:
    """Wait until a job, or all tasks of an array, have ended in these states."""

    def seen() -> list[str]:
        return cluster.command("sacct", "-X", "-n", "-P", "-o", "State", "-j", job_id).split()

    def all_ended() -> bool:
        return len(seen()) == tasks and not {"RUNNING", "PENDING", "REQUEUED"} & set(seen())

    try:
        wait_until(all_ended, f"the end of {job_id}", 240)
        assert set(seen()) == states
    except AssertionError as error:
        files = sorted(workplace.folder.glob(f"snw-*-{job_id}*.out"))
        raise AssertionError(f"{seen()}\n" + "\n".join(f"{f.name}:\n{f.read_text()}" for f in files)) from error


def test_train_is_preempted_and_loses_no_step(cluster: Cluster, workplace: Workplace, undisturbed: Path) -> None:
    """While it runs, a second one is refused."""
    run = workplace.run_folder("script")
    job_id = workplace.sbatch("train", ["--nodes=2"], "--run", "script")
    wait_until(lambda: steps_done(run) >= 35, "35 steps", 150)
    other = rank_pid(job_id, 1)
    os.kill(other, signal.SIGSTOP)  # a quick machine would have done all steps before the second job has looked
    second = workplace.sbatch("train", ["--nodes=2"], "--run", "script")
    refused = workplace.folder / f"snw-train-{second}.out"
    try:
        wait_until(lambda: refused.exists() and f"in use by job {job_id}" in refused.read_text(), "a refusal")
    finally:
        os.kill(other, signal.SIGCONT)
    cluster.command("sbatch", "-p", "urgent", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
    cluster.wait_for_restart(job_id, 1)
    done = steps_done(run)
    assert 35 <= done < 150
    ends(cluster, workplace, job_id, {"COMPLETED"})
    assert workplace.losses("script") == workplace.losses("undisturbed")
    assert exported(run) == exported(undisturbed)
    assert cluster.command("sacct", "-X", "-n", "-P", "-o", "ExitCode", "-j", second) == "4:0"
    shown = workplace.run("status", "--run", "script")
    assert any("train-script" in line and "done" in line for line in shown.splitlines()), shown


def test_embed_as_an_array_with_a_task_that_is_queued_again(cluster: Cluster, workplace: Workplace) -> None:
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    config["store"] = {"path": "by-script.zarr", "shard_rows": 512}
    config["encoder"] = {"tokens_per_batch": 64}
    (workplace.folder / "by-script.json").write_text(json.dumps(config))
    workplace.run("prepare", "--config", "by-script.json", "--run", "by-script")
    job_id = workplace.sbatch("embed", ["--array=0-1"], "--config", "by-script.json", "--run", "by-script")
    parts = workplace.folder / "by-script.zarr" / ".parts"
    wait_until(lambda: len(list(parts.glob("*.safetensors"))) >= 6, "six shards", 150)
    cluster.command("scontrol", "requeue", f"{job_id}_1")
    cluster.wait_for_restart(f"{job_id}_1", 1)
    ends(cluster, workplace, job_id, {"COMPLETED"}, 2)
    assert read_header(workplace.folder / "by-script.zarr").complete
    files = sorted((workplace.run_folder("by-script") / "embedding").glob("*.jsonl"))
    shards = [json.loads(line)["shard"] for file in files for line in file.read_text().splitlines()]
    assert len(shards) - len(set(shards)) <= 1, "more than one shard was computed again"


def test_screen_as_an_array_with_a_killed_task(cluster: Cluster, screened: Workplace) -> None:
    """The tasks begin one screen although all of them find an empty folder; the same script again has nothing to do."""
    folder = screened.folder / "by-script"
    job_id = screened.sbatch("screen", ["--array=0-2"], *screen_options("by-script"))
    wait_until(lambda: made(folder, "block_*.safetensors") >= 6, "six blocks of vectors", 150)
    killed = cluster.command("squeue", "-h", "-r", "-j", f"{job_id}_1", "-o", "%A")
    os.kill(rank_pid(killed, 0), signal.SIGKILL)
    ends(cluster, screened, job_id, {"COMPLETED", "FAILED"}, 3)
    again = screened.sbatch("screen", ["--array=1"], *screen_options("by-script"))
    ends(cluster, screened, again, {"COMPLETED"})
    assert result_of(folder) == result_of(screened.folder / "alone")


def test_predict_as_an_array_with_a_task_that_is_queued_again(cluster: Cluster, screened: Workplace) -> None:
    """The rows of all parts, one behind the other, are those of one process."""
    peptides = [line.split(",")[0] for line in (DATA / "new_peptides.csv").read_text().splitlines()[1:]]
    cells = [f"{n},{'B1' if n == 20_000 else peptides[n % len(peptides)]}\n" for n in range(40_000)]
    (screened.folder / "pairs.csv").write_text("n,peptide\n" + "".join(cells))
    options = ["--bundle", "bundle", "pairs.csv", "--receptor", "GSHSMRYFFTSVSRPGRGEP", "--on-invalid", "skip"]
    job_id = screened.sbatch("predict", ["--array=1-3"], *options, "--to", "parts.csv")
    wait_until(lambda: "R" in cluster.command("squeue", "-h", "-r", "-j", f"{job_id}_2", "-o", "%t"), "a task runs")
    cluster.command("scontrol", "requeue", f"{job_id}_2")
    screened.run("predict", *options, "--to", "whole.csv")
    ends(cluster, screened, job_id, {"COMPLETED"}, 3)
    parts = [(screened.folder / f"parts.{n}-of-3.csv").read_text().splitlines() for n in (1, 2, 3)]
    whole = (screened.folder / "whole.csv").read_text().splitlines()
    assert [whole[0], *(line for part in parts for line in part[1:])] == whole
    assert len(whole) == 40_000
    said = "".join(file.read_text() for file in screened.folder.glob(f"snw-predict-{job_id}_*.out"))
    assert "Parts done: all 3; rows in them: 40,000 = 39,999 written + 1 rejected" in said
