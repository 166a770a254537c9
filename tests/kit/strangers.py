"""Another user of the machine, for tests that attack: a process with a uid of its own where the tests run as root.

Without root it is another process of the same user, which knows no secret; what then depends on file permissions alone
is skipped by the tests themselves.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
IS_ROOT = os.getuid() == 0


@contextlib.contextmanager
def place_for_both() -> Iterator[Path]:
    """A folder of ours that others may look into; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="snw-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def start_stranger(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code as nobody; `sys.argv[1:]` are the arguments. It sees no more than any user would."""
    program = textwrap.dedent(code)
    environ: Mapping[str, str] = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    # Leave root's groups first; the interpreter and the libraries may lie where nobody may not look, so import before.
    drop = f"import os\nif os.getuid() == 0:\n    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
    imports = "import encodings.idna, json, os, pathlib, pickle, socket, struct, sys, time\n"
    return subprocess.Popen(
        [sys.executable, "-c", imports + drop + program, *map(str, arguments)],
        cwd="/",
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_stranger(code: str, *arguments: object, timeout_s: float = 30.0) -> str:
    """Run it to its end; what it has printed."""
    process = start_stranger(code, *arguments)
    try:
        return process.communicate(timeout=timeout_s)[0]
    finally:
        process.kill()
        process.wait()
