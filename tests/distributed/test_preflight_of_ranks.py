"""Ranks that were not given the same end before the work, on every rank and with the same words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.kit.ranks import start_ranks

pytestmark = pytest.mark.distributed


def test_another_configuration_on_one_rank_ends_all(tmp_path: Path) -> None:
    with start_ranks("nothing", 3, {"train": 1}, tmp_path, present=[0, 2]) as ranks:
        ranks.wait_for_files("rendezvous-job-0.json")  # both have read their request
        request = json.loads(ranks.request.read_text())
        ranks.request.write_text(json.dumps({**request, "config": {"train": 2}}))
        ranks.start(1)
        done = ranks.finish()
    assert [rank.returncode for rank in done] == [4, 4, 4], ranks.logs()
    messages = {rank.outcome["message"] for rank in done}
    assert len(messages) == 1
    assert "configuration: rank 1 on " in messages.pop()
    assert not list(ranks.job_folder.glob("started-*")), "the work began"
    assert not list(ranks.job_folder.glob(".shared-*"))
