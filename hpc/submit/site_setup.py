"""The `setup` lines of a site profile, as shell: one that fails ends the job with its own message.

Without that a `module load` that fails is a line in a log, and the job ends later with an import error or a wrong
library. The outcome is left as rank 0 would (`hpc.ranks.outcome`), so that the launcher says it. Nothing here needs
Python: the failing line may be the one that brings it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hpc.ranks.topology import SHELL_ARRAY_TASK, SHELL_RESTARTS

_FUNCTIONS = r"""snw_ended() { # leave what rank 0 would: the line, its exit code, and the last that was said
    local code=$? said text
    # A file that is read with `source` may have commands that fail; what it comes to counts, at the line that reads it.
    [[ $1 == EXIT ]] || ((${#BASH_SOURCE[@]} == 2)) || return "$code"
    trap - EXIT ERR DEBUG TERM
    said=$(tail -c "+$((snw_before + 1))" "/proc/$$/fd/2" 2>/dev/null | tail -n 5 | tr -d '\000-\011\013-\037')
    text="setup of the site profile, line ${snw_lines[snw_at]}"
    text="${text/:/, failed with exit code $code:}"
    echo "$text" >&2
    [[ -z $said ]] || text+=$'\nIt said:\n'$said
    text+=$'\nMend it in the profile; a line that may fail ends with || true.'
    text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//$'\n'/\\n}
    text="{\"exit_code\": 4, \"message\": \"$text\", \"restarts\": $snw_restarts}"
    printf '%s\n' "$text" >"$snw_folder/.setup"
    mv "$snw_folder/.setup" "$snw_folder/outcome-rank0.json"
    exit 4
}"""


def setup_lines(setup: Sequence[str], folder: Path) -> list[str]:
    """Lines of a batch script that run `setup`; none for none. `folder` is that of the job, or of its array.

    The shell says itself what fails (ERR), so that nothing stands between the lines: those of an `if ... else`, or one
    that ends with `&&`, mean what they mean in any script.
    """
    if not setup:
        return []
    return [
        *_FUNCTIONS.splitlines(),
        f"snw_folder={shlex.quote(str(folder))} snw_restarts={SHELL_RESTARTS}",
        f'snw_folder+=${{{SHELL_ARRAY_TASK}:+_$(printf %05d "${SHELL_ARRAY_TASK}")}}',
        'snw_before=$(stat -Lc %s "/proc/$$/fd/2" 2>/dev/null || echo 0) snw_at=1',
        f"snw_lines=(- {' '.join(map(shlex.quote, _numbered(setup)))})",
        "trap 'snw_ended EXIT' EXIT; trap 'snw_ended ERR' ERR",
        "trap 'trap - EXIT; exit 143' TERM",  # cancelled, or queued again: no failure
        # In the EXIT trap the lines count from 1 again.
        "snw_base=$LINENO; trap '((LINENO <= snw_base)) || snw_at=$((LINENO - snw_base))' DEBUG",
        *setup,
        "trap - EXIT ERR DEBUG TERM",
    ]


def _numbered(setup: Sequence[str]) -> list[str]:
    """Each line with its number; one that goes on after a backslash is named by where it begins."""
    numbered: list[str] = []
    for number, line in enumerate(setup, start=1):
        goes_on = number > 1 and setup[number - 2].endswith("\\")
        numbered.append(numbered[-1] if goes_on else f"{number}: {line}")
    return numbered
