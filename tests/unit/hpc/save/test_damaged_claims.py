"""Claims that are damaged, removed, or that the file system cannot make."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hpc.errors import CorruptError, EnvironmentProblem, ExitCode
from hpc.save import claims
from hpc.save.fence import Fence
from tests.kit.claim_tools import die
from tests.kit.ranks import names

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("quick_claims")]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"attempt": "1-0"}', b'{"attempt": 3, "word": []}', b"[" * 9999],
    ids=range(7),
)
def test_a_damaged_attempt_json_is_written_again(tmp_path: Path, content: bytes) -> None:
    """It ended all ranks after a minute, with gloo's words."""
    own = Fence(tmp_path, "1-0")
    right = (tmp_path / "attempt.json").read_bytes()
    (tmp_path / "attempt.json").write_bytes(content)
    own.check()
    end = time.monotonic() + 30
    while (tmp_path / "attempt.json").read_bytes() != right:
        assert time.monotonic() < end
        time.sleep(0.05)
    own.release()
    (tmp_path / "attempt.json").write_bytes(content)
    new = Fence(tmp_path, "2-0")
    new.check()
    assert json.loads((tmp_path / "attempt.json").read_text())["attempt"] == "2-0"
    new.release()


def damages(file: Path) -> dict[str, Callable[[], object]]:
    good = file.read_bytes()
    return {
        "empty": lambda: file.write_bytes(b""),
        "cut": lambda: file.write_bytes(good[:40]),
        "another shape": lambda: file.write_bytes(b'[{"attempt": "1-0"}]'),
        "another type": lambda: file.write_bytes(good.replace(b'"1-0"', b"[1]")),
        "another number": lambda: file.write_bytes(good.replace(b'"number": 1', b'"number": 7')),
        "not UTF-8": lambda: file.write_bytes(b"\xff" + good),
        "deep": lambda: file.write_bytes(b"[" * 10_000),
        "large": lambda: os.truncate(file, 2**40),
        "a pipe": lambda: (file.unlink(), os.mkfifo(file)),
        "a folder": lambda: (file.unlink(), file.mkdir()),
    }


DAMAGES = ("empty", "cut", "another shape", "another type", "another number", "not UTF-8", "deep", "large")


@pytest.mark.parametrize("damage", [*DAMAGES, "a pipe", "a folder"])
def test_a_damaged_claim_of_an_owner_that_has_gone(tmp_path: Path, damage: str) -> None:
    """It stops at its next commit itself; then the next job gets the folder at once."""
    own = Fence(tmp_path, "1-0")
    damages(tmp_path / ".attempt.claims" / "1")[damage]()
    with pytest.raises(CorruptError, match=r"claims/1: .*") as raised:
        own.check()
    assert raised.value.exit_code == ExitCode.CORRUPT
    assert "\n" not in str(raised.value)
    own.release()
    started = time.monotonic()
    new = Fence(tmp_path, "2-0")
    assert time.monotonic() - started < claims.PATIENCE_S
    new.check()
    new.release()


@pytest.mark.parametrize("damage", ["empty", "another shape", "a pipe"])
def test_a_damaged_claim_of_an_owner_that_lives_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    monkeypatch.setattr(claims, "PATIENCE_S", 30.0)
    own = Fence(tmp_path, "1-0")
    damages(tmp_path / ".attempt.claims" / "1")[damage]()
    with pytest.raises(EnvironmentProblem, match=r"in use by another job \(\S+/1 is damaged.*Wait for its end"):
        Fence(tmp_path, "2-0")
    own.release()


@pytest.mark.parametrize("content", [b"", b"x" * 100_000, b"released?"], ids=["empty", "large", "another word"])
def test_a_damaged_beat_of_a_killed_owner_delays_and_no_more(tmp_path: Path, content: bytes) -> None:
    die(tmp_path)
    (tmp_path / ".attempt.claims" / "1.beat").write_bytes(content)
    Fence(tmp_path, "2-0").release()


def test_stray_names_among_the_claims(tmp_path: Path) -> None:
    Fence(tmp_path, "1-0").release()
    folder = tmp_path / ".attempt.claims"
    for name in ("1 (copy)", "01", "²", "-3", "9" * 30, "7.old", "1.beat.bak"):
        (folder / name).write_text("?")
    own = Fence(tmp_path, "2-0")
    own.check()
    own.release()
    (folder / "40").write_text("?")  # looks like a claim: whose cannot be read, and nobody lives
    new = Fence(tmp_path, "3-0")
    new.check()
    with pytest.raises(EnvironmentProblem, match="superseded by attempt 3-0"):
        own.check()
    new.release()


def test_a_removed_folder_ends_its_owner(tmp_path: Path) -> None:
    own = Fence(tmp_path / "run", "1-0")
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentProblem, match="does not own it any more: its claim was removed"):
        own.check()
    other = Fence(tmp_path / "run", "2-0")
    with pytest.raises(EnvironmentProblem, match="superseded by attempt 2-0"):
        own.check()
    own.release()
    other.release()


def test_no_hard_links_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(EnvironmentProblem, match=r"its file system has no hard links .*another file system"):
        Fence(tmp_path, "1-0")


def test_an_answer_that_was_lost_is_not_a_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system asks again, and is told that its own link exists already."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    own = Fence(tmp_path, "1-0")
    own.check()
    assert "1" in names(tmp_path / ".attempt.claims")
    assert "2" not in names(tmp_path / ".attempt.claims")
    own.release()
