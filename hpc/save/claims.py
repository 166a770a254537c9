"""Numbered claims on a folder: each is made by exactly one of many starts, whatever the timing.

Claims are files 1, 2, 3, ... in a hidden folder. Claim N + 1 is complete before `link` gives it this name, so of many
starts, on any host and at any instant, exactly one makes it. The others see its owner and are refused while it lives. A
claim is never removed or changed, so its number cannot be given twice: not to a start that reads a listing which is
late, nor after a SIGKILL between any two steps. Nothing here locks, compares clocks or reads the time of a file. What
is listed is only a hint where to begin looking for the newest claim.

Whether an owner lives, another job sees by its heartbeat: a number beside the claim that grows. An owner that has said
that it is done is followed at once, and so is one of the same job; else the heartbeat has to stand still for
`PATIENCE_S`. A view that is late by less than that pushes nobody out who lives. If one is pushed out all the same, such
as a process that was stopped for a minute, its next commit is refused.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import pwd
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ConfigDict, StrictInt
from pydantic.dataclasses import dataclass

from hpc.disk.files import PARTIAL_SUFFIX, publish_once
from hpc.disk.reading import BadFileError, read_json, read_small
from hpc.disk.strict import validated
from hpc.errors import CorruptError, EnvironmentProblem

BEAT_S = 3.0
PATIENCE_S = 4 * BEAT_S
"""An owner whose heartbeat stands still for so long is taken for dead; if it is not, its next commit is refused."""
RELEASED = b"released"
"""The last beat of an owner that is done."""
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_MOST_BYTES = 64 * 1024
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


def make_claim(claims: Path, attempt: str) -> Claim:
    """Become the owner; raise when somebody else is."""
    facts = (attempt, secrets.token_hex(8), socket.gethostname(), _user(), time.strftime("%F %T %Z"))
    newest = 0
    while True:
        newest = newest_claim(claims, newest)
        _wait_for_owner(claims, newest, attempt)
        mine = Claim(newest + 1, *facts)
        if publish_once(claims / str(mine.number), mine.to_bytes()):
            return mine
        newest = mine.number  # it is there, whether it can be seen yet or not


def refuse_in_use(places: Iterable[tuple[Path, str]]) -> None:
    """Raise `EnvironmentProblem` where another job owns one of `places`, each a folder and the name of its claims.

    For the machine that submits: nothing is claimed or written. A claim whose owner is dead, or is done, refuses
    nothing; of one that was killed it takes `PATIENCE_S` to see that, whatever the number of places.
    """
    found = [claims for claims in (claims_folder(*place) for place in places) if claims.is_dir()]
    with ThreadPoolExecutor(max_workers=64) as pool:
        list(pool.map(lambda claims: _wait_for_owner(claims, newest_claim(claims, 0), ""), found))


def claims_folder(folder: Path, name: str) -> Path:
    """Where the claims on a folder are that have this name."""
    return folder / f".{Path(name).stem}.claims"


def _user() -> str:
    """The name of the user; inside a container the number may have none."""
    try:
        return os.environ.get("USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user number {os.getuid()}"


def _wait_for_owner(claims: Path, number: int, attempt: str) -> None:
    """Return once the owner of a claim has gone or has a successor; raise when it lives."""
    if number == 0:
        return
    folder, file = claims.parent, claims / str(number)
    try:
        owner = read_claim(claims, number)
    except CorruptError as error:  # whose it is cannot be read; whether it lives can be seen
        owner = None
        log.warning("%s", error)
    if owner is not None and _job(owner.attempt) == _job(attempt):
        return
    who = _in_words(owner) if owner else "another job"
    beat, end = read_beat(claims, number), time.monotonic() + PATIENCE_S
    if beat != RELEASED:
        log.info("%s: claimed by %s; looking for %.0f s whether it is alive", folder, who, PATIENCE_S)
    while beat != RELEASED and time.monotonic() < end and not _exists(claims, number + 1):
        time.sleep(0.25)
        before, beat = beat, read_beat(claims, number)
        if None not in (before, beat) and beat not in (before, RELEASED):
            hint = "" if owner else f" ({file} is damaged and does not say whose)"
            raise EnvironmentProblem(
                f"{folder}: in use by {who}{hint}. `snw-dist status` shows what it does. Wait for its end, "
                f"cancel it{_how(owner)}, or choose another run.name or folder."
            )


def _in_words(owner: Claim) -> str:
    """Who it is, for people: the job, whose, where, since when."""
    job, restarts = _job(owner.attempt), owner.attempt.rpartition("-")[2]
    start = f", start {int(restarts) + 1}" if restarts.isdecimal() and restarts != "0" else ""
    return f"job {job}{start}, of {owner.user} on {owner.host} since {owner.since}"


def _how(owner: Claim | None) -> str:
    """How a job of Slurm is cancelled; that of a local job has no number that a command takes."""
    job = _job(owner.attempt) if owner else ""
    return f" (scancel {job})" if re.fullmatch(r"\d+(_\d+)?", job) else ""


def newest_claim(claims: Path, known: int) -> int:
    """The number of the newest claim, 0 for none. A listing may be late, but what it has was there: go on from it."""
    newest = max([known, *_listed(claims)])
    while _exists(claims, newest + 1):
        newest += 1
    return newest


def _listed(claims: Path) -> list[int]:
    return [int(path.name) for path in claims.glob("*") if _NUMBER.fullmatch(path.name)]


def _exists(claims: Path, number: int) -> bool:
    return os.path.lexists(claims / str(number))


def read_claim(claims: Path, number: int) -> Claim | None:
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


def read_beat(claims: Path, number: int) -> bytes | None:
    """What the heart of an owner has written last; None where nothing can be read. Any change is a sign of life."""
    try:
        return read_small(_beat_file(claims, number), _MOST_BYTES).strip()
    except (OSError, BadFileError):
        return None


def _beat_file(claims: Path, number: int) -> Path:
    return claims / f"{number}.beat"


def write_beat(claims: Path, number: int, data: bytes, flags: int = 0) -> None:
    """Say that the owner lives. In place: what is late sees a change of a file sooner than a new file of this name.

    Makes the file only with `os.O_CREAT`: later the folder may just be going.
    """
    descriptor = os.open(_beat_file(claims, number), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags, 0o644)
    try:
        os.pwrite(descriptor, data.ljust(16), 0)  # no fsync: it may wait for a large save on a slow disk
    finally:
        os.close(descriptor)


def look_again(folder: Path) -> None:
    """A network file system asks its server about a folder again once something was made in it."""
    file = folder / f".{secrets.token_hex(6)}{PARTIAL_SUFFIX}"
    with contextlib.suppress(OSError):  # a full disk: then the view may be some seconds old
        file.touch()
        file.unlink()


def sweep_claims(claims: Path, number: int) -> None:
    """What owners before `number` have left; they are dead, or refused at their next commit. Their claims stay.

    Of what is just being linked only what can no longer become a claim goes.
    """
    for path in claims.iterdir():
        hidden, _, rest = path.name.partition(".")
        of = hidden or rest.partition(".")[0]  # 7.beat, 7.work, .7.0a1b.partial
        if path.suffix in (".beat", ".work") and _NUMBER.fullmatch(of) and int(of) < number:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        elif path.suffix == PARTIAL_SUFFIX and (not _NUMBER.fullmatch(of) or int(of) <= number):
            path.unlink(missing_ok=True)


def _job(attempt: str) -> str:
    return attempt.rpartition("-")[0]
