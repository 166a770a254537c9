"""What the doctor has left is read like any other file that may be damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hpc.errors import CorruptError
from snw_dist.doctor import RESULT, checks_table


@pytest.mark.parametrize(
    "content",
    [
        *("", "[", "3", "null", "[3]", '[{"name": "a"}]', "[" * 100_000, '[{"name": "a", "status": "ok", "text": 3}]'),
        *('[{"name": "a", "status": "purple", "text": "b"}]', '[{"name": "a", "status": "ok", "text": "b", "x": 1}]'),
    ],
)
def test_damaged(tmp_path: Path, content: str) -> None:
    (tmp_path / RESULT).write_text(content)
    with pytest.raises(CorruptError, match=r"doctor\.json: damaged\. Remove it and start the doctor again\."):
        checks_table(tmp_path)


def test_a_pipe_and_what_is_sound(tmp_path: Path) -> None:
    assert checks_table(tmp_path) is None
    (tmp_path / RESULT).write_text(json.dumps([{"name": "a", "status": "ok", "text": "b[/]"}]))
    table = checks_table(tmp_path)
    assert table is not None
    assert table.row_count == 1
    (tmp_path / RESULT).unlink()
    os.mkfifo(tmp_path / RESULT)
    with pytest.raises(CorruptError, match="damaged"):
        checks_table(tmp_path)
