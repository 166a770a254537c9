"""One writer per run folder: a newer incarnation fences a stale one off.

After a requeue the old processes may live on for a while (measured: 11 s), and both would write. Each incarnation
therefore writes its own random word into the run folder at its start and looks at it before every commit.
"""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from hpc.errors import EnvironmentProblem
from hpc.files import atomic_write_json


class Fence:
    """The claim of one incarnation on a folder; made by rank 0, which may pass it on to the other ranks.

    Jobs that share a folder on purpose, such as the tasks of an array, have a file `name` each.
    """

    def __init__(self, folder: Path, attempt: str, name: str = "attempt.json") -> None:
        self._file = folder / name
        self._claim = {"attempt": attempt, "word": secrets.token_hex(8)}
        folder.mkdir(parents=True, exist_ok=True)
        atomic_write_json(self._file, self._claim)

    def check(self) -> None:
        """Raise `EnvironmentProblem` (exit 4) when another incarnation has claimed the folder since."""
        try:
            owner = json.loads(self._file.read_text())
        except FileNotFoundError:  # the successor has finished and tidied up
            owner = {"attempt": "that has ended"}
        if owner != self._claim:
            raise EnvironmentProblem(
                f"{self._file.parent}: attempt {self._claim['attempt']} was superseded by attempt {owner['attempt']}; "
                "this one stops without writing."
            )
