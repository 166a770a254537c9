"""Paths that no other user can change: who can write to a folder, or rename one above it, decides what is found there.

Another user of the node who can exchange the folder of a job before its ranks read it decides what they run, and runs
it as its owner (seen). A path is therefore walked from the root, one descriptor after another, and each part is asked
for its owner and mode before the next is opened in it: what is exchanged after it was asked is not what is read.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from pathlib import Path

from hpc.disk.reading import MOST_BYTES, read_opened
from hpc.errors import EnvironmentProblem

_MOST_LINKS = 40  # as the kernel
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def close_to_others() -> None:
    """From here on this process makes nothing that another user can write to, whatever the umask was.

    Many sites have a umask of 002: each new folder is then open to the whole group. What others may read stays so.
    """
    os.umask(os.umask(0o077) | 0o022)


def read_trusted(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file of ours that nobody else can have written or exchanged.

    Raises `EnvironmentProblem` naming what is open on the way to it, with the command that closes it; else as
    `read_small` does.
    """
    folder = _walk(path.absolute().parent)
    try:
        descriptor = os.open(path.name, _FILE, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _refuse(path, os.fstat(descriptor))
    except EnvironmentProblem:
        os.close(descriptor)
        raise
    return read_opened(descriptor, path, most_bytes)


def check_folder(path: Path) -> None:
    """Raise `EnvironmentProblem` when another user can change what is in a folder, or put another in its place.

    A folder above it may be open to others where its sticky bit keeps them from what is not theirs, as in `/tmp`. What
    does not exist yet is judged by the folder in which it would be made.
    """
    path = path.absolute()
    while not path.exists() and not path.is_symlink() and path != path.parent:
        path = path.parent
    os.close(_walk(path))


def weak_spot(path: Path) -> str | None:
    """What `check_folder` would say, or None; for what is better not open, but may be another's by choice."""
    try:
        os.close(_walk(path.absolute(), owners=False))
    except EnvironmentProblem as error:
        return str(error)
    except OSError:  # not there
        return None
    return None


def private_folder(folder: Path) -> Path:
    """Make a folder that only its owner can look into; one that is there already is closed.

    Raises `EnvironmentProblem` where it belongs to another user.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise EnvironmentProblem(f"{folder}: belongs to somebody else. Choose another run folder.")
    folder.chmod(0o700)
    return folder


def _walk(path: Path, owners: bool = True) -> int:
    """A descriptor of a folder, reached through nothing that others can change."""
    open_now = [os.open("/", _FOLDER)]
    shown = [Path("/")]
    left, links = list(reversed(path.parts[1:])), 0
    try:
        _refuse(shown[-1], os.fstat(open_now[-1]), sticky_will_do=bool(left), owners=owners)
        while left:
            name = left.pop()
            if name == "..":
                if len(open_now) > 1:
                    os.close(open_now.pop())
                    shown.pop()
                continue
            status = os.stat(name, dir_fd=open_now[-1], follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise EnvironmentProblem(f"{path}: too many symbolic links.")
                _refuse_owner(shown[-1] / name, status, owners)
                target = Path(os.readlink(name, dir_fd=open_now[-1]))
                while target.is_absolute() and len(open_now) > 1:
                    os.close(open_now.pop())
                    shown.pop()
                left += reversed(target.parts[1:] if target.is_absolute() else target.parts)
                continue
            open_now.append(os.open(name, _FOLDER, dir_fd=open_now[-1]))
            shown.append(shown[-1] / name)
            _refuse(shown[-1], os.fstat(open_now[-1]), sticky_will_do=bool(left), owners=owners)
        return open_now.pop()
    finally:
        for descriptor in open_now:
            os.close(descriptor)


def _refuse(path: Path, status: os.stat_result, sticky_will_do: bool = False, owners: bool = True) -> None:
    _refuse_owner(path, status, owners)
    others = status.st_mode & _OTHERS_WRITE
    if not others or (sticky_will_do and status.st_mode & stat.S_ISVTX):
        return
    who = {stat.S_IWGRP: "its group", stat.S_IWOTH: "everybody"}.get(others, "its group and everybody")
    mode = "go-w" if others == _OTHERS_WRITE else "g-w" if others == stat.S_IWGRP else "o-w"
    command = f"chmod {mode} {shlex.quote(str(path))}"
    raise EnvironmentProblem(
        f"{path}: {who} can write to it, so another user could put files of his own in the place of ours. Close it: "
        f"{command} (others may still read), or choose a folder that only you can write to."
    )


def _refuse_owner(path: Path, status: os.stat_result, owners: bool) -> None:
    if owners and status.st_uid not in _trusted_users():
        raise EnvironmentProblem(
            f"{path}: belongs to another user (uid {status.st_uid}), who could put files of his own in the place of "
            "ours. Choose a folder that is yours, below folders that are yours or root's."
        )


def _trusted_users() -> set[int]:
    """This user and root; inside a container that does not know the owner of a folder, that is shown as nobody's."""
    users = {os.geteuid(), 0}
    with contextlib.suppress(OSError, ValueError, IndexError):
        _, _, count = Path("/proc/self/uid_map").read_text().split()[:3]
        if int(count) < 2**31:
            users.add(int(Path("/proc/sys/kernel/overflowuid").read_text()))
    return users
