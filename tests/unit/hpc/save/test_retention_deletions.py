"""What cannot be deleted or renamed fails no save."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpc.save.checkpoint import MANIFEST, checkpoint_name, find_checkpoint
from hpc.save.retention import remove, set_aside
from tests.kit.ranks import names
from tests.kit.retention_tools import ALONE, Run, flip, save, steps

NOBODY = 65534


def test_a_checkpoint_that_is_a_link(tmp_path: Path) -> None:
    """To a larger disk, say: it is read, and when it goes, only the link does."""
    root = tmp_path / "checkpoints"
    save(root, 1).rename(tmp_path / "elsewhere")
    (root / checkpoint_name(1)).symlink_to(tmp_path / "elsewhere")
    run = Run(root, 1)
    assert run.begun == 1
    run.save(2, 3)
    assert names(root) == [checkpoint_name(3)]
    assert (tmp_path / "elsewhere" / MANIFEST).exists()


def test_links_in_the_place_of_leftovers(tmp_path: Path) -> None:
    root, other = tmp_path / "checkpoints", save(tmp_path / "other", 1)
    save(root, 1)
    for name in (f".{checkpoint_name(9)}.0badcafe.staging", f".{checkpoint_name(1)}.superseded"):
        (root / name).symlink_to(other)
    save(root, 2)
    assert names(root) == [checkpoint_name(1), checkpoint_name(2)]
    assert find_checkpoint(other.parent, ALONE) is not None


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """A file system inside a checkpoint: neither deleted nor renamed by anybody."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "snw-test", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, timeout=20).returncode:
        yield  # where we may not mount, at least the rest is tried
        return
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", *_mounts_below(folder.parents[1])], check=True, timeout=20)


def _mounts_below(root: Path) -> list[str]:
    lines = Path("/proc/self/mounts").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[1].startswith(str(root))]


def test_what_is_busy_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "checkpoints"
    Run(root, 9).save(1, 2)
    with mounted(root / checkpoint_name(1) / "busy"):
        run = Run(root, 1)
        run.save(3, 4, 5)  # each clears what the one before could not
        assert steps(root) == [5]
        if _mounts_below(root):
            assert caplog.text.count("cannot be deleted") == 1, "said once"
    Run(root, 1).save(6)
    assert names(root) == [checkpoint_name(6)]


def test_a_damaged_one_that_cannot_be_renamed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still does not count; and the run gets past its step."""
    root = tmp_path / "checkpoints"
    Run(root).save(60, 76)
    flip(root / checkpoint_name(76))
    with mounted(root / checkpoint_name(76)):
        if not _mounts_below(root):  # only root may mount; then the system's refusal is played
            rename = Path.rename

            def busy(path: Path, target: Path) -> Path:
                if path.name == checkpoint_name(76) and path.parent == root:
                    raise OSError(errno.EBUSY, "Device or resource busy", str(path))
                return rename(path, target)

            monkeypatch.setattr(Path, "rename", busy)
        for begun, saved in [(60, 61), (61, 62), (62, 76), (76, 77), (77, 78)]:
            run = Run(root)
            assert run.begun == begun
            run.save(saved)
        assert names(root) == [checkpoint_name(step) for step in (76, 77, 78)]
    assert "cannot be renamed" in caplog.text
    assert f"saved beside it as {checkpoint_name(76, 1)}" in caplog.text


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that any user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="snw-test-"))
    folder.chmod(0o777)
    yield folder
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=True)
    shutil.rmtree(folder)


@contextlib.contextmanager
def not_root() -> Iterator[None]:
    """As root every deletion succeeds."""
    if os.getuid() != 0:
        yield
        return
    os.setresgid(NOBODY, NOBODY, 0)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)


@pytest.mark.parametrize("which", ["whole", "inside"])
def test_an_old_one_that_is_read_only(place: Path, which: str, caplog: pytest.LogCaptureFixture) -> None:
    root = place / "checkpoints"
    with not_root():
        old = save(root, 1)
        (old if which == "whole" else old / "nested").chmod(0o555)
        run = Run(root, 1)
        run.save(2, 3, 4)
        assert run.begun == 1
        assert Run(root).begun == 4
    assert steps(root) == ([1, 4] if which == "whole" else [4])
    assert "cannot be deleted" in caplog.text


def test_what_belongs_to_another_user(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder in which each may rename and delete what is his own alone, as `/tmp` is one."""
    if os.getuid() != 0:  # nobody else can make a folder of another user
        return
    root = place / "checkpoints"
    Run(root).save(60, 76)
    flip(root / checkpoint_name(76))
    shutil.copytree(root / checkpoint_name(60), root / f".{checkpoint_name(9)}.0badcafe.staging")
    shutil.copytree(root / checkpoint_name(60), root / f".{checkpoint_name(60)}.superseded")
    root.chmod(0o1777)
    with not_root():
        for begun, saved in [(60, 61), (61, 62), (62, 76), (76, 78), (78, 80)]:
            run = Run(root)
            assert run.begun == begun
            run.save(saved)
    assert [name for name in names(root) if not name.startswith(".")] == [
        checkpoint_name(step) for step in (60, 76, 78, 80)
    ]
    assert "cannot be renamed" in caplog.text
    assert "cannot be deleted" in caplog.text


def test_a_deletion_that_ends_half_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system keeps a file that is open under a name of its own: the folder is not empty."""
    real: Callable[..., None] = os.rmdir

    def rmdir(path: object, **options: object) -> None:
        if str(path) == "nested":
            raise OSError(39, "Directory not empty")
        real(path, **options)

    save(tmp_path, 1)
    monkeypatch.setattr(os, "rmdir", rmdir)
    run = Run(tmp_path, 1)
    run.save(2, 3)
    assert steps(tmp_path) == [3]
    monkeypatch.undo()
    run.save(4)
    assert names(tmp_path) == [checkpoint_name(4)]


def test_what_is_gone_already_is_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert remove(tmp_path / "gone")
    assert set_aside(tmp_path / "gone", "a test") is None
    assert "cannot be deleted" not in caplog.text


def test_killed_while_the_old_folder_of_a_step_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was left of it was set aside by the next save, as damaged, and stayed for ever."""
    root = tmp_path / "checkpoints"
    Run(root).save(1, 2)

    def killed(path: Path, **options: object) -> None:
        next(file for file in path.rglob("*") if file.is_file()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            Run(root).save(2)
    assert len(names(root)) == 3
    Run(root).save(3)
    assert not [name for name in names(root) if name.startswith(("set_aside", "."))]
