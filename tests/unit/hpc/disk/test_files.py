import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.disk.files import (
    PARTIAL_SUFFIX,
    atomic_write_bytes,
    atomic_write_groups,
    atomic_write_json,
    fsync_folder,
    fsync_tree,
    publish_file,
    publish_once,
    sweep_partial,
)
from tests.kit.ranks import REPOSITORY, names, small_disk


def test_groups_are_written_one_after_another(tmp_path: Path) -> None:
    atomic_write_groups(tmp_path / "a", [[b"one", memoryview(b" two")], [], [b"", b" three"]])
    assert (tmp_path / "a").read_bytes() == b"one two three"
    assert names(tmp_path) == ["a"]


def test_more_buffers_than_one_call_takes_and_short_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffers = [bytes([i % 256]) * (i % 7) for i in range(5000)]
    atomic_write_groups(tmp_path / "a", [buffers])
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda file, views: writev(file, [views[0][:3]]))  # a system that takes little
    atomic_write_groups(tmp_path / "b", [buffers[:2000], buffers[2000:]])
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"".join(buffers)


def test_content_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "a"
    atomic_write_bytes(file, b"old")
    with file.open("rb") as reader:
        atomic_write_bytes(file, b"new content")
        assert reader.read() == b"old"
    assert file.read_bytes() == b"new content"


def test_a_group_that_cannot_be_made_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def groups() -> Iterator[list[bytes]]:
        yield [b"part"]
        raise ValueError("not made")

    atomic_write_bytes(tmp_path / "a", b"old")
    with pytest.raises(ValueError, match="not made"):
        atomic_write_groups(tmp_path / "a", groups())

    def refuse(descriptor: int, views: list[memoryview]) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", refuse)
    with pytest.raises(OSError, match="No space"):
        atomic_write_groups(tmp_path / "a", [[b"one"], [b"two"]])
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt(), ValueError("no")])
def test_a_failed_write_changes_nothing_and_leaves_nothing(
    tmp_path: Path, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(descriptor: int) -> None:
        raise error

    atomic_write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(error)):
        atomic_write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_full_disk_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as folder:
        atomic_write_bytes(folder / "a", b"old")
        with pytest.raises(OSError, match=r"No space left|too large"):
            atomic_write_bytes(folder / "a", bytes(2_000_000))
        assert (folder / "a").read_bytes() == b"old"
        assert names(folder) == ["a"]


def test_json_is_strict_and_the_same_for_equal_values(tmp_path: Path) -> None:
    atomic_write_json(tmp_path / "a", {"b": 1, "a": [0.1, None]})
    atomic_write_json(tmp_path / "b", {"a": [0.1, None], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"a": [0.1, None], "b": 1}
    with pytest.raises(ValueError, match="Out of range float"):
        atomic_write_json(tmp_path / "a", {"a": float("nan")})


def test_two_writers_and_a_reader_never_meet_half_a_file(tmp_path: Path) -> None:
    file, contents = tmp_path / "a", [b"a" * 50_000, b"b" * 70_000]
    atomic_write_bytes(file, contents[0])

    def write(content: bytes) -> None:
        for _ in range(50):
            atomic_write_bytes(file, content)

    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert file.read_bytes() in contents
    assert names(tmp_path) == ["a"]


def test_a_written_file_gets_its_name(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "part").write_text("new")
    (tmp_path / "table.csv").write_text("old")
    publish_file(tmp_path / "work" / "part", tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "new"
    assert not (tmp_path / "work" / "part").exists()


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom hpc.disk.files import atomic_write_bytes\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic_write_bytes(Path(sys.argv[1]), b'part')\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    done = subprocess.run(command, cwd=REPOSITORY, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (tmp_path / "kept.partial").write_text("not one of ours")
    assert not (tmp_path / "a").exists()
    assert len(sweep_partial(tmp_path)) == 1
    assert names(tmp_path) == ["kept.partial"]
    assert sweep_partial(tmp_path) == []


def test_folders_can_be_made_durable(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("c")
    fsync_tree(tmp_path)
    fsync_folder(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        fsync_folder(tmp_path / "missing")


@pytest.mark.parametrize("look", [1, 2])
def test_publishing_once_while_the_temporary_file_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    """Between any two looks at it: one of twenty starts of one job ended because of that."""
    (tmp_path / "1").write_bytes(b"theirs")
    stat, looks = Path.stat, []

    def swept_before_this_look(path: Path, **options: bool) -> os.stat_result:
        if path.name.endswith(PARTIAL_SUFFIX):
            looks.append(path)
            if len(looks) == look:
                path.unlink()
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", swept_before_this_look)
    assert not publish_once(tmp_path / "1", b"mine")
    monkeypatch.undo()
    assert looks
    assert (tmp_path / "1").read_bytes() == b"theirs"
    assert names(tmp_path) == ["1"]
