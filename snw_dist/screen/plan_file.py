"""What is screened with what, as the command has left it for the jobs: `work/plan.json` in the folder of a screen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError
from snw_dist.screen.library import Kind

WORK, RESULT = "work", "result.json"
_PLAN = "plan.json"
_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(config=_STRICT, frozen=True)
class Compared:
    """Natural peptides that the scores are compared with."""

    what: str
    """For people."""
    sha256: str
    """Of all that decides them."""
    lengths: list[int]
    """Residues of the ligands that have some."""


@dataclass(config=_STRICT, frozen=True)
class Content:
    """What decides the result, bit for bit."""

    bundle: str
    """SHA-256 of `bundle.json`."""
    libraries: dict[Kind, str]
    """SHA-256 of sequences and ids."""
    by: Kind
    """Who has a list."""
    most: int
    """Entries of a list of the first stage."""
    top: int | None
    """As asked for."""
    threshold: float | None
    """As asked for."""
    false_rate: float | None
    """As asked for."""
    rerank: str | None
    """SHA-256 of the `bundle.json` of the second stage."""
    background: Compared | None
    """Where it is asked for."""
    dtype: str
    """Number format of the vectors."""
    version: str
    """Of this program."""


@dataclass(config=_STRICT, frozen=True)
class ScreenPlan:
    """The content, and where things are."""

    content: Content
    bundle: str
    rerank: str | None
    encoder: str | None
    vectors: str
    """Folder of all sets of vectors."""
    block_residues: int
    unit_pairs: int
    accounting: dict[str, dict[str, int]]
    """What became of the records of both files."""
    files: dict[str, str]
    """The FASTA files by side."""

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(json.dumps(asdict(self.content), sort_keys=True).encode()).hexdigest()


def write_plan(to: Path, plan: ScreenPlan) -> None:
    """Publish the plan of the screen in the folder `to`."""
    write_sealed(to / WORK / _PLAN, asdict(plan))


def read_plan(to: Path) -> ScreenPlan | None:
    """The plan of the screen in a folder, None where there is none; raises `CorruptError` for a damaged one."""
    file = to / WORK / _PLAN
    try:
        content: dict[str, Any] = read_sealed(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{file}: cannot be read ({error}). Remove {to} and start again.") from None
    try:
        return validated(ScreenPlan, content, str(file), refuse=CorruptError)
    except CorruptError:
        raise CorruptError(f"{file}: of another version of snw-dist. Remove {to}, or choose another --to.") from None


def plan_of_job(to: Path, digest: str) -> ScreenPlan:
    """The plan that a job was started for; raises `InputError` where there is another one by now."""
    plan = read_plan(to)
    if plan is None or plan.digest != digest:
        raise InputError(f"{to}: the screen that this job was started for is not there any more. Start it again.")
    return plan
