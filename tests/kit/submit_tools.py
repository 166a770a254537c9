"""A job to be submitted."""

from hpc.job.request import JobRequest


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
