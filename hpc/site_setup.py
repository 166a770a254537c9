"""The `setup` lines of a site profile, as shell: one that fails ends the job with its own message.

Without that a `module load` that fails is a line in a log, and the job ends later with an import error or a wrong
library. The outcome is left as rank 0 would (`hpc.outcome`), so that the launcher says it. Nothing here needs Python:
the failing line may be the one that brings it.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hpc.topology import SHELL_ARRAY_TASK, SHELL_RESTARTS

_FUNCTIONS = r"""snw_ended() { # leave what rank 0 would: the line, its exit code, and the last that was said
    local code=$? said text
    trap - EXIT TERM
    said=$(tail -c "+$((snw_before + 1))" "/proc/$$/fd/2" 2>/dev/null | tail -n 5 | tr -d '\000-\011\013-\037')
    text="setup of the site profile, line $snw_number, failed with exit code $code: $snw_line"
    echo "$text" >&2
    [[ -z $said ]] || text+=$'\nIt said:\n'$said
    text+=$'\nMend it in the profile; a line that may fail ends with || true.'
    text=${text//\\/\\\\} text=${text//\"/\\\"} text=${text//$'\n'/\\n}
    text="{\"exit_code\": 4, \"message\": \"$text\", \"restarts\": $snw_restarts}"
    printf '%s\n' "$text" >"$snw_folder/.setup"
    mv "$snw_folder/.setup" "$snw_folder/outcome-rank0.json"
    exit 4
}
snw_check() { local code=$?; ((code == 0)) || exit "$code"; }"""


def setup_lines(setup: Sequence[str], folder: Path) -> list[str]:
    """Lines of a batch script that run `setup`; none for none. `folder` is that of the job, or of its array.

    Each line is a whole command, or a part of one that goes on in the next (`if ...; then`, or with a backslash).
    """
    if not setup:
        return []
    lines = [
        *_FUNCTIONS.splitlines(),
        f"snw_folder={shlex.quote(str(folder))} snw_restarts={SHELL_RESTARTS}",
        f'snw_folder+=${{{SHELL_ARRAY_TASK}:+_$(printf %05d "${SHELL_ARRAY_TASK}")}}',
        'snw_before=$(stat -Lc %s "/proc/$$/fd/2" 2>/dev/null || echo 0)',
        "trap snw_ended EXIT; trap 'trap - EXIT; exit 143' TERM",  # cancelled, or queued again: no failure
    ]
    continued = False
    for number, line in enumerate(setup, start=1):
        if not continued:
            lines.append(f"snw_number={number} snw_line={shlex.quote(line)}")
        lines.append(line)
        continued = line.endswith("\\")
        if not continued:
            lines.append("snw_check")
    return [*lines, "trap - EXIT TERM"]
