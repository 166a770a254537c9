from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem, ExitCode
from hpc.save import claims, fence
from hpc.save.fence import Fence
from tests.kit.ranks import REPOSITORY, names


def test_the_newest_incarnation_holds(tmp_path: Path) -> None:
    old = Fence(tmp_path / "run", "41-0")
    old.check()
    new = Fence(tmp_path / "run", "41-1")
    new.check()
    with pytest.raises(EnvironmentProblem, match=r"attempt 41-0 was superseded by attempt 41-1") as raised:
        old.check()
    assert raised.value.exit_code == ExitCode.ENVIRONMENT
    new.check()


def test_two_starts_of_the_same_attempt_are_told_apart(tmp_path: Path) -> None:
    first, second = Fence(tmp_path, "local-0"), Fence(tmp_path, "local-0")
    second.check()
    with pytest.raises(EnvironmentProblem, match="superseded"):
        first.check()


def test_another_rank_checks_the_same_claim(tmp_path: Path) -> None:
    own = Fence(tmp_path, "41-0")
    theirs = Fence.from_plain(json.loads(json.dumps(own.to_plain())))
    theirs.check()
    Fence(tmp_path, "41-1")
    with pytest.raises(EnvironmentProblem, match="superseded"):
        theirs.check()


def test_another_job_is_refused_while_the_owner_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "BEAT_S", 0.05)
    owner = Fence(tmp_path, "41-0")
    with pytest.raises(EnvironmentProblem, match=r"in use by job 41, of \S+ on \S+ since 2") as raised:
        Fence(tmp_path, "42-0")
    assert raised.value.exit_code == ExitCode.ENVIRONMENT
    owner.check()


def test_what_was_released_is_taken_at_once(tmp_path: Path) -> None:
    Fence(tmp_path, "41-0").release()
    started = time.monotonic()
    Fence(tmp_path, "42-0").release()
    assert time.monotonic() - started < claims.PATIENCE_S / 2
    assert names(tmp_path) == [".attempt.claims", "attempt.json"]


def test_a_killed_owner_is_waited_for_and_then_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import sys, os, signal, pathlib; from hpc.save.fence import Fence; Fence(pathlib.Path(sys.argv[1]), '41-0')"
    )
    killed = subprocess.run(
        [sys.executable, "-c", f"{program}; os.kill(os.getpid(), signal.SIGKILL)", tmp_path],
        cwd=REPOSITORY,
        check=False,
    )
    assert killed.returncode == -9
    monkeypatch.setattr(claims, "PATIENCE_S", 1.0)
    started = time.monotonic()
    new = Fence(tmp_path, "42-0")
    assert time.monotonic() - started >= 1.0
    new.check()
    new.release()
    assert names(tmp_path) == [".attempt.claims", "attempt.json"]
