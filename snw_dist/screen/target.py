"""The folder of a screen: what it may hold, and what is left in it for the jobs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from hpc.disk.files import PARTIAL_SUFFIX
from hpc.disk.folder import locked
from hpc.errors import InputError
from hpc.told import long_work, tell
from snw_dist.data.files.rejects import Rejects, rejects_csv
from snw_dist.screen.library import TABLE, Kind, Library, write_library
from snw_dist.screen.plan_file import WORK, ScreenPlan, read_plan, write_plan
from snw_dist.screen.result import REJECTS, REPORT, clear_result, is_finished, spoilt_file
from snw_dist.screen.texts import Texts

_TURN_S = 0.1


def plan_before(to: Path, digest: str) -> ScreenPlan | None:
    """The plan in the folder; none where that of this screen has a result that was changed, which is made again.

    Raises `InputError` where the folder has the result of another screen.
    """
    plan = read_plan(to)
    if plan is not None and plan.digest != digest and is_finished(to):
        raise InputError(
            f"--to {to}: holds the result of a screen of other libraries, options or bundle. Choose a new folder, or "
            "remove this one."
        )
    if plan is not None and plan.digest == digest and is_finished(to):
        with long_work("comparing the result with result.json"):
            spoilt = spoilt_file(to)
        if spoilt is not None:
            tell(f"{spoilt}: missing or not as it was written. The result is made again.")
            return None
    return plan


def refuse_foreign(to: Path) -> None:
    """Raise `InputError` where something of somebody else would be removed, or mixed up with the result."""
    ours = {WORK, "hits", "csv", REJECTS, "result.json", "vectors", "jobs", "logs"}
    ours |= {REPORT, Path(REPORT).stem}
    names = [path.name for path in to.iterdir()] if to.is_dir() else []
    foreign = sorted(name for name in names if name not in ours and not name.endswith(PARTIAL_SUFFIX))
    if foreign:
        raise InputError(f"--to {to}: holds something else ({foreign[0]}). Choose a new folder.")


@contextlib.contextmanager
def one_at_a_time(to: Path) -> Iterator[None]:
    """Wait until no other command begins a screen in the folder, which is made where it is missing."""
    to.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(to))
                break
            except BlockingIOError:
                time.sleep(_TURN_S)
            except OSError:  # a file system without locks
                break
        yield


def leave_plan(
    to: Path,
    plan: ScreenPlan,
    libraries: dict[Kind, Library],
    files: dict[Kind, Path],
    texts: Mapping[Path, Sequence[str]],
    begins_anew: Callable[[], None],
) -> None:
    """Leave what the jobs read; in the place of another screen, unless `begins_anew` raises what speaks against it.

    The tasks of an array may all come here at once. `texts`: other sequences, by their file in `to`.
    """
    with one_at_a_time(to):
        before = plan_before(to, plan.digest)
        if before is None or before.digest != plan.digest:
            begins_anew()
            begin(to, before, libraries, files, texts)
        write_plan(to, plan)


def begin(
    to: Path,
    before: ScreenPlan | None,
    libraries: dict[Kind, Library],
    files: dict[Kind, Path],
    texts: Mapping[Path, Sequence[str]],
) -> None:
    """Leave what the jobs read, in the place of another screen; `texts`: other sequences, by their file in `to`."""
    if before is not None:
        tell(f"{to}: an unfinished screen of other libraries, options or bundle was there; begun anew.")
    clear_result(to)
    for kind, library in libraries.items():
        write_library(to / WORK / kind, library)
    for file, sequences in texts.items():
        Texts.write(file, sequences)
    _write_rejects(to, libraries, files)


def _write_rejects(to: Path, libraries: dict[Kind, Library], files: dict[Kind, Path]) -> None:
    rejects = Rejects()
    rejects.kept = [one for library in libraries.values() for one in library.rejects]
    if rejects.kept:
        names = {TABLE[kind]: path.name for kind, path in files.items()}
        to.mkdir(parents=True, exist_ok=True)
        (to / REJECTS).write_text(rejects_csv(rejects, names, to))
