"""The acceptance of the first landing on a real Slurm: one job on four nodes, all ZeRO stages, preemption, SIGKILL."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.slurm.conftest import Cluster, Workplace, exported, rank_pid, steps_done, tree, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]


def committed(run_folder: Path) -> list[Path]:
    return sorted((run_folder / "checkpoints").glob("step_*/manifest.json"))


def test_embedding_is_one_job_on_four_nodes_and_the_same_store(cluster: Cluster, workplace: Workplace) -> None:
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    config["store"]["path"] = "four.zarr"
    (workplace.folder / "four.json").write_text(json.dumps(config))
    workplace.run("embed", "--config", "four.json", "--nodes", "4", "--run", "four")
    cluster.wait_for_states("embed-four", ["COMPLETED"])
    [[nodes, job_id]] = cluster.jobs("embed-four", "NNodes,JobID")
    assert nodes == "4"
    assert job_id.isdigit()
    records = sorted((workplace.run_folder("four") / "embedding").glob("rank_*.jsonl"))
    assert [len(file.read_text().splitlines()) > 0 for file in records] == [True] * 4
    assert tree(workplace.folder / "four.zarr") == tree(workplace.folder / "store.zarr")
    group = zarr.open_group(workplace.folder / "four.zarr", mode="r")
    residues, offsets, lengths = (np.asarray(group[name][:]) for name in ("residues", "offsets", "lengths"))
    assert np.isfinite(residues).all(axis=1).sum() == lengths.sum()
    assert all(np.isfinite(residues[a : a + n]).all() for a, n in zip(offsets, lengths, strict=True))


# All stages and precisions resume bit for bit in tests/distributed/test_elastic.py, without a scheduler.
@pytest.mark.parametrize(("zero", "precision"), [(1, "fp32"), (3, "bf16")])
def test_a_zero_stage_trains_and_resumes(workplace: Workplace, zero: int, precision: str) -> None:
    name = f"zero{zero}-{precision}"
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    config["train"] |= {"max_steps": 6, "save_every": 3, "validate_every": 3}
    file = workplace.folder / f"{name}.json"
    file.write_text(json.dumps(config))
    arguments = ["--config", str(file), "--zero", str(zero), "--precision", precision, "--run", name]
    workplace.run("train", *arguments)
    whole, weights = workplace.losses(name), exported(workplace.run_folder(name))
    assert [record[1] for record in whole if record[0] == "train"] == list(range(1, 7))
    last = committed(workplace.run_folder(name))[-1]
    last.unlink()  # the folder does not exist any more: the run must go on from step 3 and end the same
    workplace.run("train", *arguments)
    assert workplace.losses(name) == whole
    assert exported(workplace.run_folder(name)) == weights


def test_preempted_by_the_urgent_partition(cluster: Cluster, workplace: Workplace, undisturbed: Path) -> None:
    run = workplace.run_folder("preempted")
    process = workplace.start("train", "--run", "preempted")
    wait_until(lambda: steps_done(run) >= 35, "35 steps")
    job_id = cluster.command("squeue", "-h", "-o", "%i", "--name=train-preempted")
    urgent = ["sbatch", "--parsable", "-p", "urgent", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]
    cluster.command(*urgent)
    wait_until(lambda: "Restarts=1" in cluster.command("scontrol", "show", "job", job_id), "requeued", 120)
    done = steps_done(run)
    assert process.wait(timeout=200) == 0
    log = (run / "logs").glob("*_0_log.err")
    text = "\n".join(file.read_text() for file in log)
    resumed = [int(step) for step in re.findall(r"resuming at step (\d+)", text)]
    assert resumed, text
    assert resumed[0] >= 35
    assert resumed[0] == done, "a step was lost or repeated"
    assert workplace.losses("preempted") == workplace.losses("undisturbed")
    assert exported(run) == exported(undisturbed)


def test_preempted_while_slurm_is_still_signalling(cluster: Cluster, workplace: Workplace, undisturbed: Path) -> None:
    """Until every node has its SIGCONT the job is SIGNALING; ranks that have saved must not take it for over."""
    run = workplace.run_folder("signalled")
    process = workplace.start("train", "--run", "signalled")
    wait_until(lambda: steps_done(run) >= 35, "35 steps")
    job_id = cluster.command("squeue", "-h", "-o", "%i", "--name=train-signalled")
    slurmd = int((cluster.folder / "run" / "slurmd-n2.pid").read_text())
    os.kill(slurmd, signal.SIGSTOP)
    try:
        cluster.command("sbatch", "-p", "urgent", "-N4", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1")
        shown = ("scontrol", "show", "job", "--oneliner", job_id)
        wait_until(lambda: " JobState=SIGNALING " in cluster.command(*shown), "the job is being signalled")
        wait_until(lambda: committed(run)[-1].parent.name == f"step_{steps_done(run):010d}", "its state is saved", 10)
        time.sleep(1)
    finally:
        os.kill(slurmd, signal.SIGCONT)
    cluster.wait_for_restart(job_id, 1)
    assert process.wait(timeout=200) == 0
    assert workplace.losses("signalled") == workplace.losses("undisturbed")
    assert exported(run) == exported(undisturbed)


def test_one_rank_killed(cluster: Cluster, workplace: Workplace, undisturbed: Path) -> None:
    run = workplace.run_folder("killed")
    process = workplace.start("train", "--run", "killed")
    wait_until(lambda: steps_done(run) >= 60, "60 steps")
    job_id = cluster.command("squeue", "-h", "-o", "%i", "--name=train-killed")
    os.kill(rank_pid(job_id, 1), signal.SIGKILL)
    assert process.wait(timeout=120) not in (0, 75)
    assert committed(run)
    newest = int(committed(run)[-1].parent.name.removeprefix("step_"))
    assert steps_done(run) - newest <= 25, "more than one save interval lost"
    workplace.run("train", "--run", "killed")
    assert workplace.losses("killed") == workplace.losses("undisturbed")
    assert exported(run) == exported(undisturbed)


def test_a_cancelled_job_saves_and_stays_cancelled(cluster: Cluster, workplace: Workplace) -> None:
    run = workplace.run_folder("cancelled")
    process = workplace.start("train", "--run", "cancelled")
    wait_until(lambda: steps_done(run) >= 5, "5 steps")
    job_id = cluster.command("squeue", "-h", "-o", "%i", "--name=train-cancelled")
    cluster.command("scancel", job_id)
    assert process.wait(timeout=60) != 0
    wait_until(lambda: not cluster.command("squeue", "-h", "-o", "%i", "--name=train-cancelled"), "gone from the queue")
    [[state]] = cluster.jobs("train-cancelled", "State")
    assert state.startswith("CANCELLED")
    newest = committed(run)[-1]
    assert newest.parent.name == f"step_{steps_done(run):010d}", "the state at the end is saved all the same"
