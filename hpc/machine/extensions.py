"""A safe place and a safe lock for C++ extensions that PyTorch and DeepSpeed compile at first use.

PyTorch guards a build by a file named `lock` that is removed at the end. A process killed in between leaves
it, and from then on every start waits for ever. Here the build happens under a lock of the kernel, which dies
with its holder; whoever holds it knows that any `lock` file is stale, and removes it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import platform
import re
import shlex
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from hpc.errors import EnvironmentProblem

FOLDER_VARIABLE = "SNW_EXTENSIONS_DIR"
_POLL_S = 0.1
log = logging.getLogger(__name__)


def prepare_extensions_folder(versions: Mapping[str, str]) -> Path:
    """Make the folder for compiled extensions, point `TORCH_EXTENSIONS_DIR` at it, and return it.

    It is private to the user, and one for each combination of `versions` (package -> version), Python environment
    and host: code compiled for another processor or package must not be loaded. It lies in the temporary folder
    of the node, or in `SNW_EXTENSIONS_DIR`. Raises `EnvironmentProblem` when the place is somebody else's or
    cannot be written.
    """
    base = Path(os.environ.get(FOLDER_VARIABLE) or tempfile.gettempdir())
    parent = base / f"snw-extensions-{os.getuid()}"
    folder = parent / _version_name(versions)
    try:
        base.mkdir(parents=True, exist_ok=True)
        for item in (parent, folder):
            _make_private(item)
    except OSError as error:
        raise EnvironmentProblem(
            f"{folder}: cannot be made: {error}. Set {FOLDER_VARIABLE} to a folder of this node."
        ) from None
    os.environ["TORCH_EXTENSIONS_DIR"] = str(folder)
    # The ninja beside the interpreter, whether or not the environment is activated: another version cannot read its
    # log and would compile everything anew.
    beside = Path(sys.executable).parent
    if shutil.which("ninja") != str(beside / "ninja"):
        os.environ["PATH"] = f"{beside}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return folder


@contextlib.contextmanager
def extensions_build_lock(folder: Path, deadline_s: float) -> Iterator[None]:
    """Hold the only right to build in `folder`; build or load the extensions inside.

    On entry stale `lock` files are removed. Do not fork inside: a child would share the lock (programs
    started with `subprocess` do not). Raises `EnvironmentProblem` when another process does not let go within
    `deadline_s`.
    """
    path = folder / ".build.flock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _wait_for_lock(descriptor, path, deadline_s)
        _remove_stale(folder)
        yield
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path, deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise EnvironmentProblem(
                    f"{path}: another process has held this lock for {deadline_s:g} s to compile. "
                    f"End it (fuser {path}), or set {FOLDER_VARIABLE} to another folder."
                ) from None
            time.sleep(_POLL_S)
        except OSError as error:
            reason = "has no locks" if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP) else str(error)
            raise EnvironmentProblem(
                f"{path}: this file system {reason}. Set {FOLDER_VARIABLE} to a folder on a local disk."
            ) from None
        else:
            return


def _remove_stale(folder: Path) -> None:
    for path in folder.rglob("lock"):
        log.warning("removing %s, left by a process that was killed while compiling", path)
        path.unlink(missing_ok=True)


def _make_private(folder: Path) -> None:
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()  # a link is not followed: somebody else may have put it there
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EnvironmentProblem(
            f"{folder}: is not a folder of yours; code would be loaded from it. "
            f"Remove it, or set {FOLDER_VARIABLE} to another place."
        )
    if status.st_mode & 0o077:
        raise EnvironmentProblem(f"{folder}: others may write or read here. Run: chmod 700 {shlex.quote(str(folder))}")


def _version_name(versions: Mapping[str, str]) -> str:
    """A name for the combination: readable versions, and a digest that also covers the machine."""
    readable = "-".join(f"{name}{version}" for name, version in sorted(versions.items()))
    machine = (platform.node(), platform.machine(), sys.implementation.cache_tag, sys.prefix)
    digest = hashlib.sha256(repr((sorted(versions.items()), machine)).encode()).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9.+-]', '_', readable)[:80]}-{digest}"
