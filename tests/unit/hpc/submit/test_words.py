"""States and figures in words."""

from __future__ import annotations

import pytest

from hpc.progress import ProgressRecord, summarise
from hpc.submit.submitted import JobState
from hpc.submit.words import describe, figures, summary_line


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (JobState("pending"), "waiting in the queue"),
        (JobState("pending", message="Priority"), "waiting in the queue: more urgent jobs are before it (Priority)"),
        (
            JobState("requeued", message="BeginTime", attempt=3),
            "queued again (attempt 3): its time to start has not come yet (BeginTime)",
        ),
        (JobState("requeued", message="SomethingNew", attempt=2), "queued again (attempt 2): SomethingNew"),
        (JobState("running", message="completing"), "running on 1 rank: completing"),
        (JobState("done", attempt=2), "done (attempt 2)"),
    ],
)
def test_states(state: JobState, text: str) -> None:
    assert describe(state, 1) == text


def test_figures_have_units_and_no_names_of_ours() -> None:
    shown = {"loss": 0.54321, "best": None, "pairs_per_s": 1234.5, "machine_share": 0.6, "data_wait_share": 0.02}
    shown["took_s"], shown["saves_share"] = 75.0, 0.004  # where nothing is held up, nothing is said
    ranks = [ProgressRecord(0, "train", 900, 1000, "steps", 2.0, shown, 0.0)]
    [item] = summarise([*ranks, ProgressRecord(1, "train", 90, 1000, "steps", 2.0, {"machine_share": 0.2}, 0.0)])
    said = "loss 0.5432, best not known, 1,234 pairs a second, 40% of what the machine can do"
    assert figures(item) == f"{said}, 2.0% of the time waiting for data, took 1 min 15 s"
    assert summary_line(item).startswith("train 990 / 1,000 steps, 0:00:02 left, loss 0.5432")


def test_little_of_what_the_machine_can_do_is_something_to_say() -> None:
    [item] = summarise([ProgressRecord(0, "train", 1, 10, "steps", 2.0, {"machine_share": 0.0046}, 0.0)])
    assert figures(item) == "0.5% of what the machine can do"
    [item] = summarise([ProgressRecord(0, "train", 1, 10, "steps", 2.0, {"machine_share": 0.0004}, 0.0)])
    assert figures(item) == "less than 0.1% of what the machine can do"
