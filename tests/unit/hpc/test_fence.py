from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem, ExitCode
from hpc.fence import Fence


def test_the_newest_claim_holds(tmp_path: Path) -> None:
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
