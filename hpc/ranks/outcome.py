"""What a rank leaves when it ends by itself, `outcome-rank3.json`, for whoever asks what has become of the job."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.dataclasses import dataclass

from hpc.disk.files import atomic_write_json
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError, ExitCode

_STRICT = ConfigDict(extra="forbid")
_MOST_BYTES = 2**20
_FILE = re.compile(r"outcome-rank(\d{1,7})\.json")


@dataclass(frozen=True, config=_STRICT)
class Outcome:
    """How one rank has ended."""

    exit_code: Annotated[StrictInt, Field(ge=0, le=255)]
    message: StrictStr
    restarts: Annotated[StrictInt, Field(ge=0)] = 0
    """Of the job, so that the outcome of an earlier attempt is known for what it is."""
    echo: StrictBool = False
    """This rank has only noticed that another one is gone; the message begins with that one's name."""

    @property
    def gone(self) -> int | None:
        """The rank that an echo names."""
        named = re.match(r"rank (\d{1,7}) ", self.message)
        return int(named[1]) if self.echo and named else None


def outcome_file(folder: Path, rank: int) -> Path:
    """Where a rank of the job with this private folder leaves its outcome."""
    return folder / f"outcome-rank{rank}.json"


def write_outcome(folder: Path, rank: int, outcome: Outcome) -> None:
    """Leave what has become of a rank; raises `OSError`, as on a full disk."""
    found = {"exit_code": outcome.exit_code, "message": outcome.message, "restarts": outcome.restarts}
    atomic_write_json(outcome_file(folder, rank), found | ({"echo": True} if outcome.echo else {}))


def leave_echo(folder: Path, rank: int, attempt: str, message: str) -> None:
    """For a rank that ends only because another one is gone; `attempt` ends with the number of restarts."""
    with contextlib.suppress(OSError):
        write_outcome(folder, rank, Outcome(1, message, int(attempt.rpartition("-")[2]), echo=True))


def has_ended(folder: Path, num_ranks: int) -> bool:
    """Whether every rank has left a last word, and none after which the job may have been queued again."""
    outcomes = read_outcomes(folder)
    again = any(outcome.echo or outcome.exit_code == ExitCode.PREEMPTED for outcome in outcomes.values())
    return sorted(outcomes) == [*range(num_ranks)] and not again


def read_outcomes(folder: Path, restarts: int | None = None) -> dict[int, Outcome]:
    """What the ranks of one attempt, or of any, have left, by rank; what cannot be read is no word of anybody."""
    outcomes: dict[int, Outcome] = {}
    for path in folder.glob("outcome-rank*.json"):
        named = _FILE.fullmatch(path.name)
        if named is None:
            continue
        try:
            outcome = validated(Outcome, read_json(path, _MOST_BYTES), str(path), CorruptError)
        except (OSError, BadFileError, CorruptError):
            continue
        if restarts in (None, outcome.restarts):
            outcomes[int(named[1])] = outcome
    return outcomes
