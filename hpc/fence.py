"""One writer per folder: a second job is refused, and a newer incarnation of the same job fences the stale one off.

After a requeue the old processes may live on for a while (measured: 11 s), and both would write. Each incarnation
therefore writes its own random word into the folder at its start and looks at it before every commit. Another job that
finds the folder claimed looks whether the owner's heartbeat goes on. It is a number that grows, so neither clocks that
differ nor file times that a network file system keeps back matter.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpc.communicator import Communicator
from hpc.errors import EnvironmentProblem
from hpc.files import atomic_write_json

BEAT_S = 3.0
PATIENCE_S = 4 * BEAT_S
"""An owner whose heartbeat stands still for so long is taken for dead; if it is not, its next commit is refused."""
log = logging.getLogger(__name__)


class Fence:
    """The claim of one incarnation on a folder; made by rank 0, which may pass it on to the other ranks.

    Jobs that share a folder on purpose, such as the tasks of an array, have a file `name` each. Raises
    `EnvironmentProblem` (exit 4) while another job owns the folder; the attempts of one job, `JOB-RESTARTS`, take over
    from each other at once.
    """

    def __init__(self, folder: Path, attempt: str, name: str = "attempt.json") -> None:
        self._file = folder / name
        self._claim = {"attempt": attempt, "word": secrets.token_hex(8)}
        folder.mkdir(parents=True, exist_ok=True)
        _wait_for_owner(self._file, attempt)
        user = os.environ.get("USER", str(os.getuid()))  # inside a container the number may have no name
        place = {"host": socket.gethostname(), "user": user, "since": time.strftime("%F %T %Z")}
        atomic_write_json(self._file, self._claim | place)
        self._heart = _Heart(self._file, self._claim["word"])

    def to_plain(self) -> dict[str, Any]:
        """As plain data, for the other ranks."""
        return {"file": str(self._file), **self._claim}

    @staticmethod
    def from_plain(values: dict[str, Any]) -> Fence:
        """What the other ranks have: `check` alone, no heart beats."""
        fence = Fence.__new__(Fence)
        fence._file, fence._claim = Path(values["file"]), {key: values[key] for key in ("attempt", "word")}
        return fence

    def check(self) -> None:
        """Raise `EnvironmentProblem` (exit 4) when another incarnation has claimed the folder since."""
        owner = _read(self._file) or {"attempt": "that has ended"}  # the successor has finished and tidied up
        if owner.get("word") != self._claim["word"]:
            raise EnvironmentProblem(
                f"{self._file.parent}: attempt {self._claim['attempt']} was superseded by attempt {owner['attempt']}; "
                "this one stops without writing."
            )

    def release(self) -> None:
        """On the rank that made it: the next job need not wait. `check` still holds."""
        self._heart.stop()


def claim_together(comm: Communicator, claim: Callable[[], Fence]) -> Fence:
    """Collective: rank 0 claims, and all have the fence."""
    own: list[Fence] = []

    def on_rank_0() -> dict[str, Any]:
        own.append(claim())
        return own[0].to_plain()

    values = comm.on_rank_0(on_rank_0)
    return own[0] if own else Fence.from_plain(values)


class _Heart:
    """Counts up in a file beside the claim as long as this process lives and owns it."""

    def __init__(self, claim: Path, word: str) -> None:
        self._claim, self._word, self._stop = claim, word, threading.Event()
        atomic_write_json(_beat_file(claim, word), 0)
        self._thread = threading.Thread(target=self._beat, name="owner-heartbeat", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        count = 0
        while not self._stop.wait(BEAT_S):
            count += 1
            # A file system that is full or gone for a moment must not end the job here.
            with contextlib.suppress(OSError):
                if (_read(self._claim) or {}).get("word") != self._word:
                    return
                atomic_write_json(_beat_file(self._claim, self._word), count)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            _beat_file(self._claim, self._word).unlink()


def _beat_file(claim: Path, word: str) -> Path:
    return claim.with_name(f".{claim.name}.{word}")


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        return None


def _wait_for_owner(file: Path, attempt: str) -> None:
    """Return once nobody else owns the folder; raise when somebody does."""
    owner = _read(file)
    if owner is None:
        return
    beat_file = _beat_file(file, owner["word"])
    if _job(owner["attempt"]) != _job(attempt):
        first, end = _read(beat_file), time.monotonic() + PATIENCE_S
        if first is not None:
            log.info("%s: claimed by attempt %s; looking whether it is alive", file.parent, owner["attempt"])
        while first is not None and time.monotonic() < end:
            time.sleep(0.25)
            now = _read(beat_file)
            if now is None:  # it has just ended
                break
            if now != first:
                raise EnvironmentProblem(
                    f"{file.parent}: in use by attempt {owner['attempt']} of {owner['user']} on {owner['host']} since "
                    f"{owner['since']}. Wait for its end, cancel it, or choose another run.name or folder."
                )
    beat_file.unlink(missing_ok=True)


def _job(attempt: str) -> str:
    return attempt.rpartition("-")[0]
