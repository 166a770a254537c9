"""How long a network was trained, from a log that several starts have written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snw_dist.evaluate.training_cost import training_seconds


def test_seconds_of_all_starts_each_step_once(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    records = [
        {"kind": "train", "step": 1, "seconds": 100.0},
        {"kind": "train", "step": 2, "seconds": 1.5},
        {"kind": "validation", "step": 2, "seconds": 0.5},
        {"kind": "save", "step": 2, "held_s": 7.0},
        {"kind": "changed", "step": 2, "changes": []},
        {"kind": "train", "step": 1, "seconds": 3},
        {"kind": "train", "step": 3, "seconds": None},
        {"kind": "train", "step": 4, "seconds": True},
        {"kind": "train", "step": 5, "seconds": 1e300},
        {"kind": "train", "step": 6, "seconds": "9"},
        {"kind": "train", "seconds": 9.0},
    ]
    log.write_text("".join(json.dumps(record) + "\n" for record in records) + '{"kind": "train", "st')
    assert training_seconds(log) == pytest.approx(3 + 1.5 + 0.5)


def test_a_log_that_tells_nothing_spoils_nothing(tmp_path: Path) -> None:
    assert training_seconds(tmp_path / "none.jsonl") is None
    (tmp_path / "empty.jsonl").touch()
    assert training_seconds(tmp_path / "empty.jsonl") is None
    (tmp_path / "folder.jsonl").mkdir()
    assert training_seconds(tmp_path / "folder.jsonl") is None
