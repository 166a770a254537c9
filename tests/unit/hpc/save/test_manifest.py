"""Manifests and files made to do harm: one line, the checkpoint before is taken, in bounded time and memory."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc.errors import CorruptError
from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import MANIFEST, Checkpoint, checkpoint_name, find_checkpoint, manifest_digest
from hpc.save.saving import save_checkpoint
from tests.kit.harm import EXAMPLES, flipped, little_memory, mutated

ALONE = Communicator.alone()
MIB = 2**20


def save(root: Path, step: int) -> Path:
    def write(folder: Path) -> list[str]:
        for name in ("a", "b"):
            (folder / name).write_text(f"{name} of step {step}" * 50)
        return ["a", "b"]

    return save_checkpoint(root, step, {"position": step}, write, ALONE)


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    save(tmp_path, 1)
    return save(tmp_path, 2)


def found_in(root: Path) -> Checkpoint:
    """With little memory; all that was passed over is told in one short line each."""
    with little_memory():
        found = find_checkpoint(root, ALONE)
    assert found is not None
    return found


def refused(newest: Path, caplog: pytest.LogCaptureFixture) -> str:
    """The line that says why the newest is passed over."""
    assert found_in(newest.parent).step == 1
    [record] = [record for record in caplog.records if "checkpoint skipped" in record.message]
    assert len(record.message.splitlines()) == 1
    assert len(record.message) < 1000
    assert record.message.isprintable()
    shutil.rmtree(newest.parent / checkpoint_name(1))
    with pytest.raises(CorruptError, match="none of 1 checkpoints verifies"):
        find_checkpoint(newest.parent, ALONE)
    return record.message


def sign(path: Path, manifest: dict[str, Any]) -> None:
    manifest = {name: value for name, value in manifest.items() if name != "sha256"}
    text = json.dumps(manifest | {"sha256": manifest_digest(manifest)})
    (path / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))


def pipe(file: Path) -> None:
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


def sparse(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(10**11)


def listening(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            server.bind(f"/proc/self/fd/{folder}/{file.name}")
        finally:
            os.close(folder)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", [MANIFEST, "a"])
@pytest.mark.parametrize("make", [pipe, endless, sparse, listening, Path.mkdir])
def test_what_is_no_file(
    newest: Path, caplog: pytest.LogCaptureFixture, name: str, make: Callable[[Path], None]
) -> None:
    (newest / name).unlink()
    make(newest / name)
    assert name in refused(newest, caplog)


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_file_behind_a_link(newest: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path, name: str) -> None:
    (newest / name).rename(tmp_path / "moved")
    (newest / name).symlink_to(tmp_path / "moved")
    assert "a symbolic link" in refused(newest, caplog)


def bombs() -> Iterator[bytes]:
    entry = b'"%07d": {"bytes": 1, "sha256": "x"}'
    yield b"[" * (8 * MIB - 1)
    yield b"[" + b"[],[]," * (MIB + 100_000) + b"[]]"
    yield b'{"files": {' + b",".join(b'"%d":0' % n for n in range(700_000)) + b"}}"
    yield b'{"files": {' + b",".join(entry % n for n in range(60_000)) + b"}}"
    yield b'{"step": ' + b"9" * (8 * MIB - 100) + b"}"
    yield b'{"' + b"k" * (8 * MIB - 100) + b'": 1}'
    yield b'{"sha256": "' + b"\\u000a" * MIB + b'"}'
    yield b"{" + b",".join(b'"k%d\\n\\u001b[2J": 1' % n for n in range(50_000)) + b"}"
    yield b" " * (8 * MIB + 1)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", range(9))
def test_manifests_that_unfold(newest: Path, caplog: pytest.LogCaptureFixture, number: int) -> None:
    (newest / MANIFEST).write_bytes(list(bombs())[number])
    assert MANIFEST in refused(newest, caplog)


@pytest.mark.parametrize(
    "change",
    [
        {"step": "2"},
        {"step": 2.0},
        {"step": True},
        {"step": -2},
        {"step": 10**30},
        {"world_size": 0},
        {"world_size": "1"},
        {"format_version": "1"},
        {"format_version": 2},
        {"files": {"a": {"bytes": "850", "sha256": "0" * 64}}},
        {"files": {"a": {"bytes": -1, "sha256": "0" * 64}}},
        {"files": {"a": {"bytes": 1, "sha256": "0" * 64, "more": 1}}},
        {"files": {"a": {"bytes": 1, "sha256": "0" * 63 + "\n"}}},
        {"files": {"a\n": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {"../a": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": {".": {"bytes": 1, "sha256": "0" * 64}}},
        {"files": [["a", 1]]},
        {"meta": []},
        {"meta": None},
        {"more": 1},
    ],
)
def test_a_signed_manifest_of_another_shape(
    newest: Path, caplog: pytest.LogCaptureFixture, change: dict[str, Any]
) -> None:
    sign(newest, json.loads((newest / MANIFEST).read_text()) | change)
    refused(newest, caplog)


@pytest.mark.parametrize("key", ["step", "world_size", "format_version", "files", "meta", "sha256"])
def test_a_signed_manifest_with_a_key_less(newest: Path, caplog: pytest.LogCaptureFixture, key: str) -> None:
    manifest = json.loads((newest / MANIFEST).read_text())
    del manifest[key]
    if key == "sha256":
        (newest / MANIFEST).write_text(json.dumps(manifest))
    else:
        sign(newest, manifest)
    assert key in refused(newest, caplog)


@pytest.mark.timeout(60 + EXAMPLES)
def test_any_manifest_is_taken_as_it_is_or_passed_over(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Bytes of any kind, damaged ones, and valid content that was changed and signed again."""
    save(tmp_path, 1)
    newest = save(tmp_path, 2)
    whole = (newest / MANIFEST).read_bytes()
    manifest = json.loads(whole)
    tried = 0

    def check(expected: Any) -> None:
        nonlocal tried
        tried += 1
        found = find_checkpoint(tmp_path, ALONE)
        assert found is not None
        if found.step == 2:
            assert found.files == {"a": 550, "b": 550}
            assert found.meta == expected["meta"]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(manifest))
    def signed(changed: Any) -> None:
        if isinstance(changed, dict):
            sign(newest, changed)
            files = changed.get("files")
            if files == manifest["files"]:
                check(changed)
            elif (found := find_checkpoint(tmp_path, ALONE)) is not None and found.step == 2:
                assert set(found.files) <= {"a", "b"}

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(st.binary(max_size=300))
    def any_bytes(data: bytes) -> None:
        (newest / MANIFEST).write_bytes(data)
        check(manifest)

    @settings(max_examples=EXAMPLES, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def damaged(seed: int) -> None:
        (newest / MANIFEST).write_bytes(flipped(whole, seed))
        check(manifest)

    with little_memory():
        signed()
        any_bytes()
        damaged()
    (newest / MANIFEST).write_bytes(whole)
    check(manifest)
    record_property("tried", tried)
