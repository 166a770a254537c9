"""Whether this Python has what the commands need; imported before everything else, and by any Python 3."""

import importlib.util
import sys
from pathlib import Path

_LEAST = (3, 11)
_NEEDED = ("typer", "rich", "pydantic", "numpy", "torch", "pandas", "pyarrow", "safetensors")  # and see snw_dist.extras


def refuse_other_pythons():
    # type: () -> None
    """End the process (exit 4) with one line where this is not the Python of the virtual environment."""
    problem = python_problem(sys.version_info[:2], [name for name in _NEEDED if not importlib.util.find_spec(name)])
    if problem:
        sys.stderr.write("error: " + problem + "\n")
        sys.exit(4)


def python_problem(version, missing):
    # type: (tuple[int, ...], list[str]) -> str | None
    """What to do about a Python of this version that lacks these packages; None where all is well."""
    name = "{} (Python {})".format(sys.executable, ".".join(map(str, version)))
    root = Path(__file__).resolve().parents[1]
    active = sys.prefix == str(root / ".venv")
    fix = "make venv" if active else "source {}".format(root / ".venv" / "bin" / "activate")
    if not active and not (root / ".venv" / "bin" / "activate").exists():
        fix = "make venv, then " + fix
    if version < _LEAST:
        return "{} is too old, Python {} or newer is needed. Run: {}".format(name, ".".join(map(str, _LEAST)), fix)
    if missing:
        what = "is incomplete" if active else "is not active"
        return "{} has no {}: the virtual environment {}. Run: {}".format(name, ", ".join(missing), what, fix)
    return None
