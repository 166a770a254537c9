"""The plan of a screen, as it is found in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.disk.sealed import write_sealed
from hpc.errors import CorruptError
from snw_dist.screen.plan_file import WORK, read_plan


def test_a_plan_of_another_version_is_told_in_one_line_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / WORK).mkdir()
    write_sealed(tmp_path / WORK / "plan.json", {"content": {"bundle": "0" * 64}})
    with pytest.raises(CorruptError, match=r"plan\.json: of another version of snw-dist\. Remove .*another --to\.$"):
        read_plan(tmp_path)
