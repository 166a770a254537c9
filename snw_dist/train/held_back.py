"""A tracker that takes points once and for ever: it gets those of a step when that step is saved.

Such a tracker (MLflow, W&B) does not forget, as TensorBoard does. A job that goes on from a checkpoint repeats the
steps after it, so these must not have been sent. What was sent is kept in the run folder, beside the id that the run
has there: a later job goes on with the same run.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hpc.disk.files import atomic_write_json
from hpc.disk.reading import BadFileError, read_json
from hpc.told import warn
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.train.inputs import Inputs
from snw_dist.train.tracking import given_up

STATE = "tracker.json"
_PATIENCE_S = 10.0
"""How long the end of a job waits for what is being sent. A stop request leaves little time."""


class Points(NamedTuple):
    """Figures of one step or validation."""

    kind: str
    step: int
    values: dict[str, float]
    """By `kind/name`."""
    time_s: float


class TrackedRun(Protocol):
    """One run in a tracker."""

    @property
    def id(self) -> str:
        """By which a later job finds it."""

    def send(self, points: Sequence[Points]) -> None:
        """Have them there for good."""

    def end(self, best: Mapping[str, float]) -> None:
        """Training has ended."""

    def close(self) -> None:
        """This job ends."""


class HeldBack:
    """A `Tracker` whose run is talked to by a thread: neither its import nor a slow server holds training."""

    def __init__(self, name: str, folder: Path, open_run: Callable[[str | None], TrackedRun]) -> None:
        """`open_run`: with the id that the run got in an earlier job, or None."""
        self._name, self._file, self._open_run = name, folder / STATE, open_run
        self._held: list[Points] = []
        self._orders: queue.SimpleQueue[Callable[[TrackedRun], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def add(self, kind: str, values: Mapping[str, float | None], step: int) -> None:
        """Held until the step is saved."""
        known = {f"{kind}/{name}": float(value) for name, value in values.items() if value is not None}
        if self._thread.is_alive():
            self._held.append(Points(kind, step, known, time.time()))

    def scores(self, scores: FloatArray, positive: BoolArray, step: int) -> None:
        """Not sent, [num_pairs] each: TensorBoard shows them."""

    def forget_validation(self, step: int) -> None:
        """Not sent yet: it came after the last save."""

    def committed(self, step: int) -> None:
        """Send what is of this step and before it."""
        ready = [points for points in self._held if points.step <= step]
        self._held = [points for points in self._held if points.step > step]
        self._orders.put(lambda run: self._send(run, ready))

    def end(self, best: Mapping[str, float], inputs: Inputs, step: int) -> None:
        """After what is still to be sent."""
        self._orders.put(lambda run: run.end(best))

    def close(self) -> None:
        """Wait for what is being sent, but not for ever."""
        self._orders.put(None)
        self._thread.join(_PATIENCE_S)
        if self._thread.is_alive():
            warn(f"{self._name}: did not take everything within {_PATIENCE_S:.0f} s; metrics.jsonl has every number.")

    def _work(self) -> None:
        try:
            run = self._opened()
            while (order := self._orders.get()) is not None:
                order(run)
            run.close()
        except Exception as error:  # noqa: BLE001 - whatever a package of others raises, training goes on
            given_up(self._name, error)

    def _opened(self) -> TrackedRun:
        state = self._state()
        run = self._open_run(state["id"] if state["tracker"] == self._name else None)
        if state["id"] != run.id:
            self._write(run, {})
        return run

    def _send(self, run: TrackedRun, ready: Sequence[Points]) -> None:
        """Each kind from where it was: a checkpoint that was set aside has steps repeated that were sent."""
        sent = self._state()["sent"]
        new = [points for points in ready if points.step > sent.get(points.kind, -1)]
        if new:
            run.send(new)
            self._write(run, {**sent, **{points.kind: points.step for points in new}})

    def _write(self, run: TrackedRun, sent: Mapping[str, int]) -> None:
        atomic_write_json(self._file, {"tracker": self._name, "id": run.id, "sent": dict(sent)})

    def _state(self) -> dict[str, Any]:
        """What an earlier job has left; a file that is damaged means a new run."""
        try:
            state = read_json(self._file)
            return {"tracker": str(state["tracker"]), "id": str(state["id"]), "sent": dict(state["sent"])}
        except (FileNotFoundError, BadFileError, KeyError, TypeError, ValueError):
            return {"tracker": None, "id": None, "sent": {}}
