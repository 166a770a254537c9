"""One writer per folder: a second job is refused, and a newer incarnation of the same job fences the stale one off.

After a requeue the old processes may live on for a while (measured: 11 s), and both would write. So each start of a
job claims the folder, and looks before every commit whether a later start has claimed it.

Claims are numbered: 1, 2, 3, ... in the hidden folder `.attempt.claims`. Claim N + 1 is a file that is complete before
`link` gives it this name, so of many starts, on any host and at any instant, exactly one makes it. The others see its
owner and are refused while it lives. A claim is never removed or changed, so its number cannot be given twice: not to
a start that reads a listing which is late, nor after a SIGKILL between any two steps. Nothing here locks, compares
clocks or reads the time of a file. What is listed is only a hint where to begin looking for the newest claim.

Whether an owner lives, another job sees by its heartbeat: a number beside the claim that grows. An owner that has said
that it is done is followed at once, and so is one of the same job; else the heartbeat has to stand still for
`PATIENCE_S`. A view that is late by less than that pushes nobody out who lives. If one is pushed out all the same, such
as a process that was stopped for a minute, its next commit is refused.

What no file system can refuse is a commit that begins between `check` and the rename that follows it at once. Whoever
commits therefore makes everything else beforehand, and what such a rename brings is whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import re
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ConfigDict, StrictInt
from pydantic.dataclasses import dataclass

from hpc.communicator import Communicator
from hpc.errors import CorruptError, EnvironmentProblem
from hpc.files import PARTIAL_SUFFIX, atomic_write_bytes, publish_once
from hpc.reading import BadFileError, read_json, read_small
from hpc.strict import validated

BEAT_S = 3.0
PATIENCE_S = 4 * BEAT_S
"""An owner whose heartbeat stands still for so long is taken for dead; if it is not, its next commit is refused."""
_RELEASED = b"released"
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_MOST_BYTES = 64 * 1024
F = TypeVar("F", bound="Fence | None")
log = logging.getLogger(__name__)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Claim:
    """The content of a claim: who owns the folder from then on."""

    number: StrictInt
    attempt: str
    word: str
    """Tells two starts of one attempt apart, and a folder from one of the same name that was made later."""
    host: str
    user: str
    since: str

    def to_bytes(self) -> bytes:
        """As JSON, for people too."""
        return (json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n").encode()


class Fence:
    """The claim of one incarnation on a folder; made by rank 0, which may pass it on to the other ranks.

    Jobs that share a folder on purpose, such as the tasks of an array, have claims of their own, by `name`. The file of
    this name says who owns the folder; nothing reads it. Raises `EnvironmentProblem` (exit 4) while another job owns
    the folder; the attempts of one job, `JOB-RESTARTS`, take over from each other at once.
    """

    def __init__(self, folder: Path, attempt: str, name: str = "attempt.json") -> None:
        self._shown = folder / name
        self._claims = folder / f".{Path(name).stem}.claims"
        self._claims.mkdir(parents=True, exist_ok=True)
        try:
            self._claim = _claim(self._claims, attempt)
            _sweep(self._claims, self._claim.number)
            self.work.mkdir()
        except FileNotFoundError:
            raise EnvironmentProblem(
                f"{folder}: removed, or finished by another job, while it was being claimed. Start the same command "
                "again."
            ) from None
        self._heart: _Heart | None = _Heart(self, _beat_file(self._claims, self._claim.number))
        self.show()

    @property
    def work(self) -> Path:
        """Where this incarnation makes what it then moves into place; its successor removes it."""
        return self._claims / f"{self._claim.number}.work"

    def check(self) -> None:
        """Raise `EnvironmentProblem` (exit 4) when another incarnation has claimed the folder since.

        Raises `CorruptError` when the own claim is there but cannot be read.
        """
        _look_again(self._claims)
        newest, own = _newest(self._claims, self._claim.number), _read(self._claims, self._claim.number)
        if newest == self._claim.number and own == self._claim:
            return
        name = f"{self._shown.parent}: attempt {self._claim.attempt}"
        if newest == self._claim.number and own is None:
            raise EnvironmentProblem(
                f"{name} does not own it any more: its claim was removed, or another job has finished what is there; "
                "this one stops without writing."
            )
        with contextlib.suppress(CorruptError):
            own = _read(self._claims, newest)
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


def claim_together(comm: Communicator, claim: Callable[[], F]) -> F:
    """Collective: `claim()` on rank 0, and the same claim, or none, on every other rank."""
    own: list[F] = []

    def on_rank_0() -> dict[str, Any] | None:
        own.append(claim())
        return None if own[0] is None else own[0].to_plain()

    values = comm.on_rank_0(on_rank_0)
    if own:
        return own[0]
    return cast(F, None if values is None else Fence.from_plain(values))


class _Heart:
    """Counts up in a file beside the claim as long as this process lives and owns it.

    The file is written in place: a view of a network file system that is late follows the content of a file that it
    has open sooner than a new file under the same name, and a disk that is full has room for it.
    """

    def __init__(self, fence: Fence, file: Path) -> None:
        self._fence, self._file, self._stop = fence, file, threading.Event()
        self._write(b"0", os.O_CREAT)
        self._thread = threading.Thread(target=self._run, name="owner-heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        count = 0
        while not self._stop.wait(BEAT_S):
            count += 1
            try:
                self._fence.check()
                self._write(str(count).encode())
                self._fence.show()  # it may have been damaged, or written late by the one before
            except EnvironmentProblem:
                return
            except (OSError, CorruptError):
                continue  # a file system that is full or gone for a moment must not end the job here

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self._write(_RELEASED)

    def _write(self, data: bytes, flags: int = 0) -> None:
        """Never makes the file again: the folder may just be going."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags, 0o644)
        try:
            os.pwrite(descriptor, data.ljust(16), 0)  # no fsync: it may wait for a large save on a slow disk
        finally:
            os.close(descriptor)


def _claim(claims: Path, attempt: str) -> Claim:
    """Become the owner; raise when somebody else is."""
    user = os.environ.get("USER", str(os.getuid()))  # inside a container the number may have no name
    facts = (attempt, secrets.token_hex(8), socket.gethostname(), user, time.strftime("%F %T %Z"))
    while True:
        newest = _newest(claims, 0)
        _wait_for_owner(claims, newest, attempt)
        mine = Claim(newest + 1, *facts)
        if publish_once(claims / str(mine.number), mine.to_bytes()):
            return mine


def _wait_for_owner(claims: Path, number: int, attempt: str) -> None:
    """Return once the owner of a claim has gone or has a successor; raise when it lives."""
    if number == 0:
        return
    folder, file = claims.parent, claims / str(number)
    try:
        owner = _read(claims, number)
    except CorruptError as error:  # whose it is cannot be read; whether it lives can be seen
        owner = None
        log.warning("%s", error)
    if owner is not None and _job(owner.attempt) == _job(attempt):
        return
    who = f"attempt {owner.attempt} of {owner.user} on {owner.host} since {owner.since}" if owner else "another job"
    beat, end = _beat(claims, number), time.monotonic() + PATIENCE_S
    if beat != _RELEASED:
        log.info("%s: claimed by %s; looking for %.0f s whether it is alive", folder, who, PATIENCE_S)
    while beat != _RELEASED and time.monotonic() < end and not _exists(claims, number + 1):
        time.sleep(0.25)
        before, beat = beat, _beat(claims, number)
        if None not in (before, beat) and beat not in (before, _RELEASED):
            hint = "" if owner else f" ({file} is damaged and does not say whose)"
            raise EnvironmentProblem(
                f"{folder}: in use by {who}{hint}. Wait for its end, cancel it, or choose another run.name or folder."
            )


def _newest(claims: Path, known: int) -> int:
    """The number of the newest claim, 0 for none. A listing may be late, but what it has was there: go on from it."""
    listed = [int(path.name) for path in claims.glob("*") if _NUMBER.fullmatch(path.name)]
    newest = max([known, *listed])
    while _exists(claims, newest + 1):
        newest += 1
    return newest


def _exists(claims: Path, number: int) -> bool:
    return os.path.lexists(claims / str(number))


def _read(claims: Path, number: int) -> Claim | None:
    """None where there is none; raises `CorruptError` for a damaged one."""
    file = claims / str(number)
    damaged = f"{file}: not a claim of a job"
    try:
        values = read_json(file, _MOST_BYTES)
    except FileNotFoundError:
        return None
    except BadFileError as error:
        raise CorruptError(f"{damaged} ({error}). Start the same command again.") from None
    if not isinstance(values, dict):
        raise CorruptError(f"{damaged}. Start the same command again.")
    claim = validated(Claim, values, str(file), CorruptError)
    if claim.number != number:
        raise CorruptError(f"{damaged} of this number. Start the same command again.")
    return claim


def _beat(claims: Path, number: int) -> bytes | None:
    """What the heart of an owner has written last; None where nothing can be read. Any change is a sign of life."""
    try:
        return read_small(_beat_file(claims, number), _MOST_BYTES).strip()
    except (OSError, BadFileError):
        return None


def _beat_file(claims: Path, number: int) -> Path:
    return claims / f"{number}.beat"


def _look_again(folder: Path) -> None:
    """A network file system asks its server about a folder again once something was made in it."""
    file = folder / f".{secrets.token_hex(6)}{PARTIAL_SUFFIX}"
    with contextlib.suppress(OSError):  # a full disk: then the view may be some seconds old
        file.touch()
        file.unlink()


def _sweep(claims: Path, number: int) -> None:
    """What owners before have left; they are dead, or refused at their next commit. Their claims stay."""
    for path in claims.iterdir():
        kind = path.suffix
        if kind in (".beat", ".work") and _NUMBER.fullmatch(path.stem) and int(path.stem) < number:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        elif kind == PARTIAL_SUFFIX:
            path.unlink(missing_ok=True)


def _job(attempt: str) -> str:
    return attempt.rpartition("-")[0]
