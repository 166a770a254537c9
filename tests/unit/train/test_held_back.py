"""Trackers that do not forget: every point once, whatever stops a run; and none of them stops a run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from unittest import mock

import pytest

from snw_dist.train import held_back
from snw_dist.train.held_back import STATE, HeldBack, Points
from snw_dist.train.tracking import Tracker, Trackers


class Remote:
    """A tracker that keeps everything it gets."""

    def __init__(self) -> None:
        self.runs: dict[str, list[tuple[str, int]]] = {}
        self.ended: list[Mapping[str, float]] = []
        self.closed = 0

    def opened(self, run_id: str | None) -> RemoteRun:
        return RemoteRun(self, run_id or f"run{len(self.runs)}")


class RemoteRun:
    def __init__(self, remote: Remote, run_id: str) -> None:
        self.remote, self.id = remote, run_id
        remote.runs.setdefault(run_id, [])

    def send(self, points: Sequence[Points]) -> None:
        self.remote.runs[self.id] += [(one.kind, one.step) for one in points]

    def end(self, best: Mapping[str, float]) -> None:
        self.remote.ended.append(best)

    def close(self) -> None:
        self.remote.closed += 1


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    with caplog.at_level(logging.WARNING):
        yield lambda: caplog.messages


def steps(tracker: Tracker, numbers: range, validated: int | None = None) -> None:
    for number in numbers:
        tracker.add("train", {"loss": 1.0, "unknown": None}, number)
        if number == validated:
            tracker.add("validation", {"auroc": 0.5}, number)


def test_a_point_is_sent_once_its_step_is_saved(tmp_path: Path, remote: Remote) -> None:
    tracker = HeldBack("mlflow", tmp_path, remote.opened)
    steps(tracker, range(1, 6))
    tracker.committed(3)  # a save in the background is of an earlier step
    tracker.close()
    assert remote.runs == {"run0": [("train", 1), ("train", 2), ("train", 3)]}


def test_a_job_that_goes_on_goes_on_with_the_same_run_and_doubles_nothing(tmp_path: Path, remote: Remote) -> None:
    first = HeldBack("mlflow", tmp_path, remote.opened)
    steps(first, range(1, 6), validated=4)
    first.committed(4)
    first.close()
    second = HeldBack("mlflow", tmp_path, remote.opened)  # step 4 is damaged, the checkpoint before it was of step 2
    second.forget_validation(2)
    second.add("validation", {"auroc": 0.5}, 2)
    steps(second, range(3, 8), validated=6)
    second.committed(7)
    second.end({"best/auroc": 0.5}, mock.Mock(), 7)
    second.close()
    assert list(remote.runs) == ["run0"]
    assert [step for kind, step in remote.runs["run0"] if kind == "train"] == [1, 2, 3, 4, 5, 6, 7]
    assert [step for kind, step in remote.runs["run0"] if kind == "validation"] == [4, 6]
    assert remote.ended == [{"best/auroc": 0.5}]
    assert remote.closed == 2


def test_a_validation_after_the_save_of_its_step_is_not_lost(tmp_path: Path, remote: Remote) -> None:
    """A stop came in the validation: its step is saved, and the next job makes the validation."""
    first = HeldBack("wandb", tmp_path, remote.opened)
    steps(first, range(1, 5))
    first.committed(4)
    first.close()
    second = HeldBack("wandb", tmp_path, remote.opened)
    second.forget_validation(4)
    second.add("validation", {"auroc": 0.5}, 4)
    second.committed(4)
    second.close()
    assert remote.runs["run0"][-1] == ("validation", 4)


@pytest.mark.parametrize("left", ["{", '{"tracker": "wandb", "id": "x", "sent": {"train": 9}}', "[]"])
def test_a_state_that_is_damaged_or_of_another_tracker_begins_a_run(tmp_path: Path, remote: Remote, left: str) -> None:
    (tmp_path / STATE).write_text(left)
    tracker = HeldBack("mlflow", tmp_path, remote.opened)
    steps(tracker, range(1, 3))
    tracker.committed(2)
    tracker.close()
    assert remote.runs == {"run0": [("train", 1), ("train", 2)]}


def test_a_tracker_that_fails_is_told_once_and_training_goes_on(
    tmp_path: Path, remote: Remote, warned: Callable[[], list[str]]
) -> None:
    def broken(_: Sequence[Points]) -> None:
        raise ConnectionError("no route to host\nand much more")

    run = remote.opened(None)
    tracker = HeldBack("mlflow", tmp_path, lambda _: mock.Mock(wraps=run, id="x", send=broken))
    for number in range(1, 4):
        steps(tracker, range(number, number + 1))
        tracker.committed(number)
    tracker.close()
    assert warned() == [
        "mlflow: given up, ConnectionError: no route to host. Training goes on; metrics.jsonl has every number."
    ]


def test_one_that_hangs_does_not_hold_the_end_of_a_job(
    tmp_path: Path, remote: Remote, warned: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "_PATIENCE_S", 0.05)
    free = threading.Event()
    run = remote.opened(None)
    tracker = HeldBack("wandb", tmp_path, lambda _: mock.Mock(wraps=run, id="x", send=lambda _: free.wait(20)))
    steps(tracker, range(1, 3))
    tracker.committed(2)
    tracker.close()
    assert warned() == ["wandb: did not take everything within 0 s; metrics.jsonl has every number."]
    free.set()


def test_of_several_trackers_the_others_go_on(warned: Callable[[], list[str]]) -> None:
    good, bad = mock.create_autospec(Tracker, instance=True), mock.create_autospec(Tracker, instance=True)
    bad.add.side_effect = OSError(28, "No space left on device")

    def refused() -> Tracker:
        raise ImportError("no such package")

    trackers = Trackers({"bad": lambda: bad, "refused": refused, "good": lambda: good})
    for number in (1, 2):
        trackers.each(lambda tracker, number=number: tracker.add("train", {"loss": 1.0}, number))  # type: ignore[misc]
    assert good.add.call_count == 2
    assert bad.add.call_count == 1
    assert [line.partition(":")[0] for line in warned()] == ["refused", "bad"]
