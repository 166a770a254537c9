"""Jobs: one to be submitted, one that was submitted, one that goes through given states."""

import json

from hpc.job.request import JobRequest
from hpc.submit.job_folder import new_name, write_request
from hpc.submit.submitted import SubmittedJob


def request(folder, **changes):
    values = {
        "name": "snw-train",
        "entry_point": "package.module:function",
        "config": {"a": 1},
        "folder": folder,
        "nodes": 2,
        "tasks_per_node": 4,
        "time_min": 720,
    }
    return JobRequest(**(values | changes))


class Job:
    """Goes through the states given, one a poll."""

    name, job_id = "train[1]", "41"
    advice = SubmittedJob.advice

    def __init__(self, folder, states, cluster="slurm"):
        self.job_folder = folder
        self.progress_folder = folder / "progress"
        self.cluster = cluster
        self.num_tasks = 4
        self.states = list(states)
        self.calls = []

    def poll(self):
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if callable(state):
            return state()
        return state

    def log_path(self, rank):
        return self.job_folder / f"41_{rank}_log.err"

    def stop(self):
        self.calls.append("stop")

    def kill(self):
        self.calls.append("kill")


def submitted(run, name="train", job_id="7", **changes):
    """The record of a job that has been submitted now."""
    request = JobRequest(name, "package.module:function", {}, run, 1, 1, 10)
    folder = new_name(run)
    write_request(folder, request, None, mpi=False)
    (run / "logs").mkdir(exist_ok=True)
    values = {"name": name, "job_id": job_id, "cluster": "local", "log_folder": "../../logs", "num_tasks": 1}
    (folder / "submitted.json").write_text(json.dumps(values | {"process_started": "1"} | changes))
    return folder
