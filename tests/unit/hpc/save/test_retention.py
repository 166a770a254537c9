"""Which checkpoints stay: a damaged one holds nobody up, and what cannot be deleted or renamed fails no save."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hpc.errors import CorruptError
from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import MANIFEST, checkpoint_name, find_checkpoint, prune_checkpoints, step_of
from hpc.save.checkpoint_names import looks_like_one, place_of
from hpc.save.manifest import Checkpoint, verify_checkpoint
from hpc.save.retention import Retention, remove, set_aside
from hpc.save.saving import save_checkpoint
from tests.kit.ranks import names

ALONE = Communicator.alone()
NOBODY = 65534


def save(root: Path, step: int) -> Path:
    def write(folder: Path) -> list[str]:
        (folder / "nested").mkdir()
        for name in ("nested/a", "b"):
            (folder / name).write_text(f"{name} of step {step}" * 50)
        return ["nested/a", "b"]

    return save_checkpoint(root, step, {"position": step}, write, ALONE)


def flip(path: Path) -> None:
    data = bytearray((path / "b").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "b").write_bytes(data)


class Run:
    """What training does with its checkpoints, in one process."""

    def __init__(self, root: Path, keep_last: int = 2) -> None:
        self.root = root
        found = find_checkpoint(root, ALONE)
        self.begun = 0 if found is None else found.step
        self.retention = Retention(root, keep_last)
        self.retention.begin_from(found)

    def save(self, *steps: int, pinned: int = -1) -> None:
        for step in steps:
            self.retention.after(save(self.root, step), lambda step: step == pinned)


def steps(root: Path) -> list[int]:
    return [step_of(path) for path in sorted(root.iterdir()) if place_of(path.name)]


def set_aside_in(root: Path) -> list[str]:
    return [name for name in names(root) if name.startswith("set_aside_")]


# ---------------------------------------------------------------------------- progress


def test_after_a_damaged_newest_one_every_start_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One bit in step 76: a job that is preempted after each save must not begin at 60 each time."""
    Run(tmp_path).save(50, 60, 76)
    flip(tmp_path / checkpoint_name(76))
    for begun, saved in [(60, 62), (62, 63), (63, 64), (64, 76), (76, 80)]:
        run = Run(tmp_path)
        assert run.begun == begun
        run.save(saved)
    assert set_aside_in(tmp_path) == ["set_aside_step_0000000076"]
    assert steps(tmp_path) == [76, 80]
    assert "set aside as set_aside_step_0000000076" in caplog.text
    assert (tmp_path / "set_aside_step_0000000076" / MANIFEST).exists(), "nothing that was passed over is deleted"


@pytest.mark.parametrize("keep_last", [1, 2, 3])
def test_several_damaged_ones(tmp_path: Path, keep_last: int) -> None:
    Run(tmp_path, 9).save(10, 20, 60, 62, 70, 76)
    for step, damage in [(62, flip), (70, shutil.rmtree), (76, lambda path: (path / MANIFEST).unlink()), (20, flip)]:
        damage(tmp_path / checkpoint_name(step))
    (tmp_path / checkpoint_name(70)).symlink_to(tmp_path / "purged")
    run = Run(tmp_path, keep_last)
    assert run.begun == 60
    run.save(65)  # later than 62, which was passed over all the same
    assert steps(tmp_path) == [10, 60, 65][-keep_last:]
    run.save(66)
    assert steps(tmp_path) == [10, 60, 65, 66][-keep_last:]
    passed_over = {f"set_aside_step_00000000{step}" for step in (62, 70, 76)}
    assert passed_over <= set(set_aside_in(tmp_path)) <= passed_over | {"set_aside_step_0000000020"}
    assert Run(tmp_path).begun == 66


def test_the_same_step_again_does_not_delete_the_damaged_one(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path, 1)
        flip(save(tmp_path, 2))
        run = Run(tmp_path, 1)
        assert run.begun == 1
        run.save(2)
        assert len(set_aside_in(tmp_path)) == number + 1
    assert set_aside_in(tmp_path) == [f"set_aside_step_0000000002{text}" for text in ("", "-2", "-3")]


def test_a_whole_one_of_a_future_that_was_given_up(tmp_path: Path) -> None:
    """Moved away, and moved back while the run goes on from an earlier step."""
    Run(tmp_path / "run", 9).save(60, 62, 76)
    for step in (62, 76):
        (tmp_path / "run" / checkpoint_name(step)).rename(tmp_path / checkpoint_name(step))
    run = Run(tmp_path / "run")
    assert run.begun == 60
    run.save(61)
    for step in (62, 76):
        (tmp_path / checkpoint_name(step)).rename(tmp_path / "run" / checkpoint_name(step))
    run.save(65)
    assert steps(tmp_path / "run") == [61, 65]
    assert len(set_aside_in(tmp_path / "run")) == 2
    assert Run(tmp_path / "run").begun == 65


def test_an_older_damaged_one_does_not_count(tmp_path: Path) -> None:
    Run(tmp_path, 9).save(1, 2, 3, 4)
    flip(tmp_path / checkpoint_name(3))
    run = Run(tmp_path, 3)
    assert run.begun == 4
    run.save(5, pinned=1)
    assert steps(tmp_path) == [1, 2, 4, 5]
    run.save(6)
    assert steps(tmp_path) == [4, 5, 6]


def test_without_a_word_of_where_it_began(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    flip(tmp_path / checkpoint_name(3))
    found = find_checkpoint(tmp_path, ALONE)
    assert found is not None
    save(tmp_path, 4)
    assert [path.name for path in prune_checkpoints(tmp_path, 2)] == [checkpoint_name(1)]
    assert steps(tmp_path) == [2, 4]


def test_nothing_is_removed_while_older_ones_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Run(tmp_path, 9).save(1, 2, 3, 4)
    may_read = threading.Event()

    def slow(path: Path) -> Checkpoint:
        may_read.wait(20)
        return verify_checkpoint(path)

    monkeypatch.setattr("hpc.save.retention._WAIT_S", 0.05)
    retention = Retention(tmp_path, 3, slow)
    retention.begin_from(verify_checkpoint(tmp_path / checkpoint_name(4)))
    for step in (5, 6):
        assert retention.after(save(tmp_path, step), lambda step: False) == []
    may_read.set()
    monkeypatch.setattr("hpc.save.retention._WAIT_S", 20)
    assert len(retention.after(save(tmp_path, 7), lambda step: False)) == 4
    assert steps(tmp_path) == [5, 6, 7]


# ---------------------------------------------------------------------------- names


STRAYS = ["step_best", "step_0000000020 (copy)", "step_20", "step_", "step_-000000001", "step_00000000020", "STEP_1"]
STRAYS += ["step_000000002٠", "step_0000000020~", "step_0000000020\n", "step_0000000020.0", "step_0000000020.01"]


@pytest.mark.parametrize("stray", STRAYS)
def test_a_stray_folder_is_left_alone(tmp_path: Path, stray: str, caplog: pytest.LogCaptureFixture) -> None:
    assert place_of(stray) is None
    assert looks_like_one(stray)
    (tmp_path / stray).mkdir()
    run = Run(tmp_path, 1)
    assert run.begun == 0
    run.save(1, 2)
    assert Run(tmp_path).begun == 2
    assert names(tmp_path) == sorted([stray, checkpoint_name(2)])
    assert "no checkpoint by its name" in caplog.text


@pytest.mark.parametrize("name", ["step_0000000020 (copy)", "set_aside_step_0000000020", "old_step_20"])
def test_what_was_renamed_is_not_nothing(tmp_path: Path, name: str) -> None:
    """Where no other is there, a run would begin at step 0 beside all of its work."""
    save(tmp_path, 20).rename(tmp_path / name)
    with pytest.raises(CorruptError, match="no checkpoint, but"):
        find_checkpoint(tmp_path, ALONE)
    save(tmp_path, 30)
    assert Run(tmp_path).begun == 30


@pytest.mark.parametrize("kind", ["link to nothing", "link to itself", "file", "pipe"])
def test_the_name_alone_counts_as_damaged(tmp_path: Path, kind: str) -> None:
    """A checkpoint on a disk that is not there now is no reason to begin at step 0."""
    root = tmp_path / "checkpoints"
    root.mkdir()
    path = root / checkpoint_name(3)
    if kind == "file":
        path.write_text("3")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path if kind == "link to itself" else tmp_path / "away")
    with pytest.raises(CorruptError, match="none of 1 checkpoints verifies"):
        find_checkpoint(root, ALONE)
    save(root, 3)
    assert Run(root).begun == 3
    if kind != "link to itself":  # that one led to the new checkpoint for a moment
        assert set_aside_in(root) == ["set_aside_step_0000000003"]


@pytest.mark.parametrize("kind", ["link to nothing", "file"])
def test_a_folder_of_checkpoints_that_is_gone(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "checkpoints"
    root.symlink_to(tmp_path / "purged") if kind == "link to nothing" else root.write_text("")
    with pytest.raises(CorruptError, match="hold checkpoints"):
        find_checkpoint(root, ALONE)


# ---------------------------------------------------------------------------- deletions that fail


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
