"""A folder whose owner was killed."""

from __future__ import annotations

import os
from pathlib import Path

from hpc.save.fence import Fence
from tests.kit.forks import fork


def die(folder: Path) -> None:
    """A claim whose owner was killed."""
    assert fork(lambda: (Fence(folder, "1-0"), os.kill(os.getpid(), 9))).result() is None
