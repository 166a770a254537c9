"""Exactly one of many starts gets a folder: at the same instant, with a late view, after a kill at any line."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest

from hpc.errors import EnvironmentProblem
from hpc.ranks.communicator import Communicator
from hpc.save import claims
from hpc.save.fence import Fence, claimed_together
from tests.kit.claim_tools import die
from tests.kit.forks import Fork, fork, killed_at, wait_for_file
from tests.kit.ranks import names

REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "1"))
FILES = ("hpc/save/claims.py", "hpc/save/fence.py", "hpc/disk/files.py")
pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("quick_claims")]


def start(folder: Path, number: int, before: Callable[[], None]) -> str:
    """One start among many: `owner` if it holds the folder when all have been answered, else why not."""
    wait_for_file(folder / "go")
    before()
    try:
        own = Fence(folder / "run", f"{number}-0")
    except EnvironmentProblem as error:
        (folder / f"answered-{number}").touch()
        return str(error)
    (folder / f"answered-{number}").touch()
    wait_for_file(folder / "check")
    try:
        own.check()
    except EnvironmentProblem as error:
        return str(error)
    return "owner"


def race(folders: list[Path], starts: int, before: Callable[[], None] = lambda: None) -> None:
    """`starts` processes on each folder at the same instant: one owner each, and the others are told who it is."""
    begun: dict[Path, list[Fork]] = {}
    for folder in folders:
        folder.mkdir(exist_ok=True)
        begun[folder] = [fork(functools.partial(start, folder, 100 + i, before)) for i in range(starts)]
    for folder in folders:
        (folder / "go").touch()
    for folder, number in itertools.product(folders, range(100, 100 + starts)):
        wait_for_file(folder / f"answered-{number}")
    for folder in folders:
        (folder / "check").touch()
        found = [child.result() for child in begun[folder]]
        assert found.count("owner") == 1, found
        owner = 100 + found.index("owner")
        said = "in use by job ", "superseded by attempt "
        assert all(any(word in text for word in said) for text in found if text != "owner"), found
        if not any("superseded" in text for text in found):  # else the one before may have been the last to write it
            shown = json.loads((folder / "run" / "attempt.json").read_text())
            assert shown["attempt"] == f"{owner}-0"
        numbers = sorted(int(name) for name in names(folder / "run" / ".attempt.claims") if name.isdigit())
        assert numbers == list(range(1, len(numbers) + 1))


def refusal(action: Callable[[], object]) -> str:
    """What is said when `action` is refused; empty when it is not."""
    try:
        action()
    except EnvironmentProblem as error:
        return str(error)
    return ""


def test_two_starts_at_the_same_instant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading and then writing granted both in 60 of 60 tries."""
    monkeypatch.setattr(claims, "PATIENCE_S", 30.0)
    race([tmp_path / str(i) for i in range(15 * REPEATS)], 2)


def test_twenty_starts_follow_a_killed_owner(tmp_path: Path) -> None:
    folders = [tmp_path / str(i) for i in range(REPEATS)]
    for folder in folders:
        folder.mkdir()
        die(folder / "run")
    race(folders, 20)


def test_successors_that_start_apart(tmp_path: Path) -> None:
    """The second comes while the first still waits, just when it has claimed, or after."""
    folders = [tmp_path / str(i) for i in range(3 * REPEATS)]
    for folder in folders:
        folder.mkdir()
        die(folder / "run")
    race(folders, 4, lambda: time.sleep(random.Random(os.getpid()).uniform(0, 2.0)))


def be_late(most_s: float) -> None:
    """A file system whose names and listings are seen late, by another time at each look."""
    listed, exists = claims._listed, claims._exists

    def is_seen(file: Path) -> bool:
        return time.time() - file.lstat().st_ctime > random.uniform(0, most_s)

    def late_list(folder: Path) -> list[int]:
        return [number for number in listed(folder) if is_seen(folder / str(number))]

    def late_look(folder: Path, number: int) -> bool:
        return exists(folder, number) and is_seen(folder / str(number))

    claims._listed, claims._exists = late_list, late_look
    random.seed(os.getpid())


@pytest.mark.parametrize("with_predecessor", [False, True])
def test_a_file_system_that_is_late(tmp_path: Path, with_predecessor: bool) -> None:
    folders = [tmp_path / str(i) for i in range(REPEATS)]
    for folder in folders if with_predecessor else []:
        folder.mkdir()
        die(folder / "run")
    race(folders, 12, lambda: be_late(1.0))


def test_a_late_listing_never_gives_a_number_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        Fence(tmp_path, f"41-{number}").release()
    monkeypatch.setattr(claims, "_listed", lambda folder: [])
    late = Fence(tmp_path, "41-5")
    monkeypatch.setattr(claims, "_exists", lambda folder, number: False)
    latest = Fence(tmp_path, "41-6")  # sees no claim at all, and still does not become a second owner of one
    monkeypatch.undo()
    latest.check()
    with pytest.raises(EnvironmentProblem, match="attempt 41-5 was superseded by attempt 41-6"):
        late.check()
    assert [name for name in names(tmp_path / ".attempt.claims") if name.isdigit()] == list("1234567")


def test_twenty_starts_of_one_job_take_over_from_each_other(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(lambda number: Fence(tmp_path, f"41-{number}"), range(20)))
    said = [refusal(own.check) for own in found]
    assert said.count("") == 1
    assert sum("superseded by attempt 41-" in text for text in said) == 19
    for own in found:
        own.release()


def test_killed_at_any_line_of_claiming(tmp_path: Path) -> None:
    """Two other jobs follow each of the killed ones, at the same time: one of them gets the folder, and soon."""
    lines = fork(killed_at(0, FILES, lambda: Fence(tmp_path / "whole", "1-0"))).result()
    assert lines > 60
    at = range(1, lines + 1, max(1, 12 // REPEATS))
    for line in at:
        assert fork(killed_at(line, FILES, lambda line=line: Fence(tmp_path / str(line), "1-0"))).result() is None

    def follow(place: tuple[int, int]) -> Fence | None:
        line, job = place
        with contextlib.suppress(EnvironmentProblem):
            return Fence(tmp_path / str(line), f"{job}-0")
        return None

    with ThreadPoolExecutor(2 * len(at)) as threads:
        found = list(threads.map(follow, itertools.product(at, (2, 3))))
    for line, *pair in zip(at, found[::2], found[1::2], strict=True):
        claimed = [own for own in pair if own is not None]
        assert [refusal(own.check) for own in claimed].count("") == 1
        for own in claimed:
            own.release()
        left = [name for name in names(tmp_path / str(line) / ".attempt.claims") if name.endswith(".partial")]
        assert left == []


def test_a_stopped_owner_is_refused_when_it_goes_on(tmp_path: Path) -> None:
    """SIGSTOP longer than the patience of a successor: the commit that follows is refused."""

    def owner() -> str:
        own = Fence(tmp_path / "run", "1-0")
        (tmp_path / "owns").touch()
        wait_for_file(tmp_path / "go on")
        try:
            own.check()
        except EnvironmentProblem as error:
            return str(error)
        return "committed"

    child = fork(owner)
    wait_for_file(tmp_path / "owns")
    os.kill(child.pid, 19)
    new = Fence(tmp_path / "run", "2-0")
    os.kill(child.pid, 18)
    (tmp_path / "go on").touch()
    assert "superseded by attempt 2-0" in child.result()
    new.check()
    new.release()


def test_a_claim_for_all_ranks() -> None:
    with claimed_together(Communicator.alone(), lambda: None) as none:
        assert none is None


def test_a_claim_is_released_where_the_other_ranks_could_not_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = Communicator.alone()
    monkeypatch.setattr(cut_off, "broadcast", mock.Mock(side_effect=RuntimeError("connection closed by peer")))
    with (
        pytest.raises(RuntimeError, match="closed by peer"),
        claimed_together(cut_off, lambda: Fence(tmp_path, "41-0")),
    ):
        pytest.fail("no rank may go on")
    started = time.monotonic()
    with claimed_together(Communicator.alone(), lambda: Fence(tmp_path, "42-0")) as own:  # who lives is not replaced
        own.check()
    assert time.monotonic() - started < claims.PATIENCE_S / 2


def test_the_submitting_machine_sees_an_owner_that_lives_and_leaves_no_trace(tmp_path: Path) -> None:
    claims.refuse_in_use([(tmp_path / "not there", "attempt.json")])
    own = Fence(tmp_path, "41_2-1")
    before = names(tmp_path / ".attempt.claims")
    with pytest.raises(EnvironmentProblem, match=r"in use by job 41_2, start 2, of .*snw-dist status.*scancel 41_2\)"):
        claims.refuse_in_use([(tmp_path, "attempt.json")])
    assert set(names(tmp_path / ".attempt.claims")) == set(before)
    own.release()
    claims.refuse_in_use([(tmp_path, "attempt.json")])


def test_claims_of_killed_owners_refuse_nothing_and_are_looked_at_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PATIENCE_S", 1.0)
    folders = [tmp_path / str(number) for number in range(6)]
    for folder in folders:
        folder.mkdir()
        die(folder)
    started = time.monotonic()
    claims.refuse_in_use([(folder, "attempt.json") for folder in folders])
    assert time.monotonic() - started < 4.0
