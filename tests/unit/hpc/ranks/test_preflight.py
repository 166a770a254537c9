"""The answers that come from the facts of all ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpc.errors import EnvironmentProblem
from hpc.ranks.preflight import Check, compared, refuse_problems, room_to_share, sources_digest

SPOILT: list[tuple[str, str, Any, str, list[str]]] = [
    ("world_size", "ranks", 1, "problem", ["3 ranks", "[1, 3]"]),
    ("python", "Python", "3.12.1", "problem", ["rank 1 on n2 has 3.12.1", "others have 3.11.7"]),
    ("packages", "packages", {"torch": "2.12"}, "problem", ["rank 1 on n2 has torch 2.12", "constraints.txt"]),
    ("sources", "sources", "other", "problem", ["rank 1 on n2", "checkout"]),
    ("config", "configuration", "other", "problem", ["rank 1 on n2"]),
    ("device", "device", "cpu", "problem", ["rank 1 on n2 has cpu"]),
    ("own_device", "GPUs", "n1 cuda:0", "problem", ["n1 cuda:0 has 2 ranks", "tasks_per_node"]),
    ("sees_folder", "shared folder", False, "problem", ["n2", "run.folder"]),
    ("free_gb", "free space", 0.25, "warning", ["0.2 GB", "rank 1 on n2"]),
    ("clock", "clocks", 1060.0, "warning", ["60 s apart"]),
    ("open_code", "code", ["/programs: its group"], "warning", ["another user could change", "/programs"]),
]


def facts(rank: int) -> dict[str, Any]:
    return {
        "rank": f"rank {rank} on n{rank + 1}",
        "world_size": 3,
        "host": f"n{rank + 1}",
        "device": "cuda",
        "own_device": f"n{rank + 1} cuda:0",
        "python": "3.11.7",
        "packages": {"torch": "2.13.0"},
        "sources": "0123456789ab",
        "config": "ba9876543210",
        "sees_folder": True,
        "free_gb": 100.0,
        "clock": 1000.0 + rank,
        "open_code": [],
    }


def test_ranks_that_agree_pass() -> None:
    checks = compared([facts(rank) for rank in range(3)])
    assert {check.status for check in checks} == {"ok"}
    assert {check.name for check in checks} == {name for _, name, *_ in SPOILT}
    refuse_problems(checks)


@pytest.mark.parametrize(("key", "name", "value", "status", "words"), SPOILT, ids=lambda value: str(value)[:12])
def test_each_difference_is_found_and_nothing_else(
    key: str, name: str, value: Any, status: str, words: list[str]
) -> None:
    ranks = [facts(rank) for rank in range(3)]
    ranks[1][key] = value
    checks = compared(ranks)
    (found,) = [check for check in checks if check.status != "ok"]
    assert (found.name, found.status) == (name, status)
    for word in words:
        assert word in found.text


def test_every_problem_is_a_line() -> None:
    checks = [
        Check("a", "problem", "one."),
        Check("b", "ok", "two"),
        Check("c", "warning", "x"),
        Check("d", "problem", "y."),
    ]
    with pytest.raises(EnvironmentProblem) as caught:
        refuse_problems(checks)
    assert str(caught.value).splitlines() == ["a: one.", "d: y."]


def test_many_ranks_that_differ_are_one_short_line() -> None:
    ranks = [facts(rank) | {"world_size": 100, "config": str(rank % 2 if rank < 20 else 0)} for rank in range(100)]
    (found,) = [check for check in compared(ranks) if check.status == "problem"]
    assert "and 7 more" in found.text
    assert len(found.text) < 250


def test_a_changed_source_file_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.py").write_text("x = 1\n")
    before = sources_digest(tmp_path, ["one"])
    assert sources_digest(tmp_path, ["one"]) == before
    (tmp_path / "one" / "a.py").write_text("x = 2\n")
    assert sources_digest(tmp_path, ["one"]) != before


def test_room_in_the_shared_memory_of_each_node() -> None:
    fact = {"usable": True, "free": 150 * 10**6, "needed": 69 * 10**6}
    ranks = [{"host": f"n{rank // 2}", **fact} for rank in range(4)]
    assert room_to_share(ranks).status == "ok"
    ranks[3]["free"] = 137 * 10**6  # it may have looked a moment later
    check = room_to_share(ranks)
    assert check.status == "problem"
    assert check.text.startswith("137 MB are free in /dev/shm of n1, but its 2 rank(s) need 138 MB there, 69 MB each.")
    assert room_to_share([{"host": "n1", "usable": False, "free": 0, "needed": 0}]).status == "ok"


def test_a_shared_memory_that_cannot_be_written_is_no_wait_for_buffers_that_never_come() -> None:
    facts = [{"host": "n1", "usable": rank == 0, "free": 10**9, "needed": 10**6} for rank in range(2)]
    check = room_to_share(facts)
    assert check.status == "problem"
    assert check.text.startswith("/dev/shm of n1 is missing, or this user may not write to it, but its 2 rank(s) need")
