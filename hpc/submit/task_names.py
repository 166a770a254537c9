"""Tasks of one array under names of their own: `squeue` and `sacct` then say which task does what.

Slurm has one name for a whole array. Each task takes its own when it starts, which every user may do with his jobs.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from hpc.ranks.topology import SHELL_ARRAY_JOB, SHELL_ARRAY_TASK

_PATIENCE_S = 20


def naming_lines(names: Sequence[str]) -> list[str]:
    """Lines of the batch script of an array, whose task N is to be called `names[N]`; none where all are called alike.

    A controller that refuses or does not answer costs the name and no more.
    """
    if len(set(names)) < 2:
        return []
    of_task = f'JobId="${{{SHELL_ARRAY_JOB}}}_${{{SHELL_ARRAY_TASK}}}" JobName="${{snw_names[{SHELL_ARRAY_TASK}]}}"'
    return [
        f"snw_names=({shlex.join(names)})",
        f"timeout {_PATIENCE_S} scontrol update {of_task} >/dev/null 2>&1 || true",
    ]
