"""Where a bundle lies: in a folder, or in a repository of the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.bundle.read import Bundle, open_bundle

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_bundle(source: str | Path, revision: str | None = None) -> Bundle:
    """The bundle in a folder, or, where there is no such folder, of a repository `owner/name` of the hub.

    Raises `InputError` where `source` is neither, `EnvironmentProblem` where the hub cannot be reached, and as
    `open_bundle`.
    """
    folder = Path(source).expanduser()
    try:
        is_folder, there = folder.is_dir(), folder.exists()
    except OSError as error:  # a folder above it that may not be entered, a name that no file can have
        raise InputError(f"{str(source)!r:.200}: {error.strerror}. Give a folder that you may read.") from None
    if is_folder:
        return open_bundle(folder)
    if there or not _HUB_ID.fullmatch(str(source)):
        raise InputError(
            f"{source}: no such folder, and no id of the hub, which is owner/name. Give one of the two, or make a "
            "bundle: snw-dist export."
        )
    return open_bundle(_fetched(str(source), revision))


def refuse_inside(source: str | Path, option: str, path: Path) -> None:
    """Raise `InputError` where a path that is to be written lies in the bundle, which that would spoil."""
    folder = Path(source).expanduser()
    if folder.is_dir() and path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{option} {path}: lies in the bundle, which may hold nothing else. Choose another folder.")


def _fetched(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EnvironmentProblem(
            f"{name}: no folder here, not in the hub's cache, and cannot be fetched: {reason}. Fetch it once where "
            "there is network (hf download), then give the folder."
        ) from None
