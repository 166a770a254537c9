"""A shard that changes while it is in use: an error that names it and its rows, never a signal, never other rows."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.errors import CorruptError
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.open_shard import OpenShard, most_kept_open
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.shard_file import write_shard
from tests.kit.embedding_tools import finished_store, random_sequences, rows_of

SEQUENCES = random_sequences([3, 8, 9, 17, 20, 30, 31, 32])
READ_FOR_EVER = """
    import sys
    from pathlib import Path
    from hpc.errors import CorruptError
    from snw_dist.embedding.row_reader import read_rows
    from snw_dist.embedding.store.reader import StoreReader

    reader = StoreReader(Path(sys.argv[1]))
    print("reading", flush=True)
    try:
        while True:
            for index in range(len(reader.lengths)):
                read_rows(reader, index)
    except CorruptError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
"""


def read_all(reader: StoreReader) -> list[torch.Tensor]:
    return [read_rows(reader, index) for index in range(len(reader.lengths))]


def cut(file: Path) -> None:
    os.truncate(file, 100)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def cut_and_grown_again(file: Path) -> None:
    size = file.stat().st_size
    os.truncate(file, 100)
    os.truncate(file, size)


def overwritten(file: Path) -> None:
    with file.open("r+b") as out:
        out.write(bytes(200))


def bit_flipped(file: Path) -> None:
    with file.open("r+b") as out:
        out.seek(40)
        byte = out.read(1)[0]
        out.seek(40)
        out.write(bytes([byte ^ 4]))


CHANGES = [cut, emptied, cut_and_grown_again, overwritten, bit_flipped]


@pytest.mark.parametrize("kept_open", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_while_in_use(
    change: Callable[[Path], None], kept_open: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row was read before, so its chunk has been checked already."""
    if not kept_open:
        monkeypatch.setattr("snw_dist.embedding.store.reader.most_kept_open", lambda: 0)
    finished_store(tmp_path / "s", SEQUENCES)
    reader = StoreReader(tmp_path / "s")
    before = read_all(reader)
    change(shard_path(tmp_path / "s", 0))
    with pytest.raises(CorruptError, match=r"c\.0\.0: shard 0 \(rows 0 to 31\) is damaged or missing") as caught:
        read_rows(reader, 0)
    assert caught.value.exit_code == 3
    assert torch.equal(read_rows(reader, 7), before[7])  # the others are as good as before


@pytest.mark.parametrize("kept_open", [True, False])
def test_a_change_that_does_no_harm_is_read_on(
    kept_open: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not kept_open:
        monkeypatch.setattr("snw_dist.embedding.store.reader.most_kept_open", lambda: 0)
    plan = finished_store(tmp_path / "s", SEQUENCES)
    reader = StoreReader(tmp_path / "s")
    before = read_all(reader)
    file = shard_path(tmp_path / "s", 0)
    file.touch()
    assert all(map(torch.equal, read_all(reader), before))
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.rename(file)  # what `--repair` does while others read
    assert all(map(torch.equal, read_all(reader), before))
    assert all(np.array_equal(rows.numpy(), rows_of(s)) for rows, s in zip(before, plan.sequences, strict=True))


@pytest.mark.parametrize("change", [cut, emptied, cut_and_grown_again])
def test_cut_at_any_moment_is_no_signal(change: Callable[[Path], None], tmp_path: Path) -> None:
    """A mapped file that is cut ends its reader with SIGBUS; here the reader does nothing but read."""
    finished_store(tmp_path / "s", SEQUENCES)
    command = [sys.executable, "-c", textwrap.dedent(READ_FOR_EVER), str(tmp_path / "s")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "reading\n"
        time.sleep(0.05)
        change(shard_path(tmp_path / "s", 1))
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (3, "")
    assert "c.1.0: shard 1 (rows 32 to 63) is damaged or missing" in out


def test_a_pipe_in_the_place_of_a_shard_is_refused_at_once(tmp_path: Path) -> None:
    finished_store(tmp_path / "s", SEQUENCES)
    file = shard_path(tmp_path / "s", 0)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(CorruptError, match=r"shard 0 .* not a regular file"):
        read_rows(StoreReader(tmp_path / "s"), 0)


def test_a_disk_that_fails_names_the_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished_store(tmp_path / "s", SEQUENCES)
    reader = StoreReader(tmp_path / "s")
    read_all(reader)

    def fails(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.preadv", fails)
    with pytest.raises(CorruptError, match=r"shard 0 \(rows 0 to 31\).*Input/output error"):
        read_rows(reader, 0)


def test_reads_that_come_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may give less than was asked for; any part of any chunk is still what was written."""
    layout = ShardLayout(num_chunks=6, chunk_bytes=40)
    values = np.random.default_rng(0).integers(0, 256, 5 * 40, dtype=np.uint8)
    write_shard(tmp_path / "c.0.0", values, layout)
    read = os.preadv
    monkeypatch.setattr("os.preadv", lambda fd, parts, at: read(fd, [memoryview(parts[0])[:7]], at))
    for start in range(0, 200, 13):
        for count in (1, 27, 40, 95, 200 - start):
            if start + count <= 200:
                for shard in (opened := OpenShard(tmp_path / "c.0.0", layout), opened):  # unknown chunks, then known
                    target = np.zeros(count + 2, dtype=np.uint8)
                    shard.copy(target, 1, start, count)
                    assert target.tolist() == [0, *values[start : start + count].tolist(), 0]


def test_more_shards_than_files_that_may_be_open(tmp_path: Path) -> None:
    """Also as the system counts them: a limit that a user can raise is raised."""
    finished_store(tmp_path / "s", random_sequences([32] * 60))
    code = """
        import resource, sys
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 540))
        from pathlib import Path
        from snw_dist.embedding.row_reader import read_rows
        from snw_dist.embedding.store.open_shard import most_kept_open
        from snw_dist.embedding.store.reader import StoreReader
        reader = StoreReader(Path(sys.argv[1]))
        for _ in range(2):
            for index in range(60):
                read_rows(reader, index)
        assert most_kept_open() == 28
        print("all read")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "s")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("all read\n", "")
    assert most_kept_open() > 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
