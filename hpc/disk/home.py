"""The sign `~` at the beginning of a path."""

from __future__ import annotations

from pathlib import Path

from hpc.errors import InputError


def expanded(path: str | Path, source: str = "") -> Path:
    """The path with a home folder for `~` or `~user`.

    Raises `InputError`, after `source`, where there is no such user, or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        before = f"{source}: " if source else ""
        raise InputError(
            f"{before}{str(path)[:200]!r} begins with the home folder of nobody. Write the whole path, or ./ before ~."
        ) from None
