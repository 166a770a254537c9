"""One writer per folder: a second job is refused, and a newer incarnation of the same job fences the stale one off.

After a requeue the old processes may live on for a while (measured: 11 s), and both would write. So each start of a
job claims the folder (`hpc.save.claims`), and looks before every commit whether a later start has claimed it.

What no file system can refuse is a commit that begins between `check` and the rename that follows it at once. Whoever
commits therefore makes everything else beforehand, and what such a rename brings is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

from hpc.disk.files import atomic_write_bytes
from hpc.disk.reading import BadFileError, read_small
from hpc.errors import CorruptError, EnvironmentProblem
from hpc.ranks.communicator import Communicator
from hpc.save.claims import (
    BEAT_S,
    RELEASED,
    Claim,
    claims_folder,
    look_again,
    make_claim,
    newest_claim,
    read_claim,
    sweep_claims,
    write_beat,
)

OWNER = "attempt.json"
"""Says who owns a folder, where nothing else is named."""
_MOST_BYTES = 64 * 1024
F = TypeVar("F", bound="Fence | None")
log = logging.getLogger(__name__)


class Fence:
    """The claim of one incarnation on a folder; made by rank 0, which may pass it on to the other ranks.

    Jobs that share a folder on purpose, such as the tasks of an array, have claims of their own, by `name`. The file of
    this name says who owns the folder; nothing reads it. Raises `EnvironmentProblem` (exit 4) while another job owns
    the folder; the attempts of one job, `JOB-RESTARTS`, take over from each other at once.
    """

    def __init__(self, folder: Path, attempt: str, name: str = OWNER) -> None:
        self._shown = folder / name
        self._claims = claims_folder(folder, name)
        self._claims.mkdir(parents=True, exist_ok=True)
        try:
            self._claim = make_claim(self._claims, attempt)
            sweep_claims(self._claims, self._claim.number)
            self.work.mkdir(exist_ok=True)
        except FileNotFoundError:
            raise EnvironmentProblem(
                f"{folder}: removed, or finished by another job, while it was being claimed. Start the same command "
                "again."
            ) from None
        self._heart: _Heart | None = _Heart(self, self._claims, self._claim.number)
        self.show()

    @property
    def work(self) -> Path:
        """Where this incarnation makes what it then moves into place; its successor removes it."""
        return self._claims / f"{self._claim.number}.work"

    def check(self) -> None:
        """Raise `EnvironmentProblem` (exit 4) when another incarnation has claimed the folder since.

        Raises `CorruptError` (exit 3) when the own claim is there but cannot be read.
        """
        look_again(self._claims)
        newest, own = newest_claim(self._claims, self._claim.number), read_claim(self._claims, self._claim.number)
        if newest == self._claim.number and own == self._claim:
            return
        name = f"{self._shown.parent}: attempt {self._claim.attempt}"
        if newest == self._claim.number and own is None:
            raise EnvironmentProblem(
                f"{name} does not own it any more: its claim was removed, or another job has finished what is there; "
                "this one stops without writing."
            )
        with contextlib.suppress(CorruptError):
            own = read_claim(self._claims, newest)
        by = "another one" if own is None else f"attempt {own.attempt}"
        raise EnvironmentProblem(f"{name} was superseded by {by}; this one stops without writing.")

    def show(self) -> None:
        """Say in `attempt.json` who owns the folder, unless it does; only for people, so it may fail."""
        data = self._claim.to_bytes()
        with contextlib.suppress(OSError, BadFileError):
            if read_small(self._shown, _MOST_BYTES) == data:
                return
        try:
            atomic_write_bytes(self._shown, data)
        except OSError as error:
            log.debug("%s: not written: %s", self._shown, error)

    def release(self) -> None:
        """On the rank that made it: the next job need not wait. `check` still holds."""
        if self._heart is not None:
            self._heart.stop()

    def to_plain(self) -> dict[str, Any]:
        """As plain data, for the other ranks."""
        return {"shown": str(self._shown), "claims": str(self._claims), "claim": dataclasses.asdict(self._claim)}

    @staticmethod
    def from_plain(values: dict[str, Any]) -> Fence:
        """The same claim on another rank; no heart beats there."""
        fence = Fence.__new__(Fence)
        fence._shown, fence._claims = Path(values["shown"]), Path(values["claims"])
        fence._claim, fence._heart = Claim(**values["claim"]), None
        return fence


@contextlib.contextmanager
def claimed_together(comm: Communicator, claim: Callable[[], F]) -> Iterator[F]:
    """Collective: `claim()` on rank 0, and the same claim, or none, on every other rank; released at the end.

    Also where rank 0 has claimed and the others could not be told: its heart would beat on for as long as it lives.
    """
    with contextlib.ExitStack() as stack:
        own: list[F] = []

        def on_rank_0() -> dict[str, Any] | None:
            own.append(claim())
            if own[0] is None:
                return None
            stack.callback(own[0].release)
            return own[0].to_plain()

        values = comm.on_rank_0(on_rank_0)
        yield own[0] if own else cast(F, None if values is None else Fence.from_plain(values))


class _Heart:
    """Counts up beside the claim as long as this process lives and owns it."""

    def __init__(self, fence: Fence, claims: Path, number: int) -> None:
        self._fence, self._place, self._stop = fence, (claims, number), threading.Event()
        write_beat(*self._place, b"0", os.O_CREAT)
        self._thread = threading.Thread(target=self._run, name="owner-heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        count = 0
        while not self._stop.wait(BEAT_S):
            count += 1
            try:
                self._fence.check()
            except EnvironmentProblem:
                return
            except (OSError, CorruptError):  # whatever cannot be read: this owner lives
                log.debug("%s: the claim cannot be looked at", self._place[0], exc_info=True)
            # A file system that is full or gone for a moment must not end the job here.
            with contextlib.suppress(OSError):
                write_beat(*self._place, str(count).encode())
            self._fence.show()  # it may have been damaged, or written late by the one before

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            write_beat(*self._place, RELEASED)
