"""The JSON of `status` is what hpc/README.md says: no key less, no key more."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from hpc.submit.as_json import FORMAT, as_plain
from hpc.submit.look import LogEnd, Look
from hpc.submit.submitted import JobState
from tests.kit.readmes import read, table
from tests.unit.hpc.submit.test_look import job
from tests.unit.hpc.submit.test_view import NOW, look, record


def keys(value: Any, before: str = "") -> set[str]:
    """Names as the README writes them: `progress[].done`; figures have names of their own."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(keys(item, f"{before}[]") for item in value))
    if isinstance(value, dict) and not before.endswith("figures"):
        return set().union(*(keys(item, f"{before}.{key}".lstrip(".")) for key, item in value.items()))
    return {before}


def test_every_key_is_in_the_readme_and_every_key_of_the_readme_is_there(tmp_path: Path) -> None:
    seen = replace(look(tmp_path, JobState("failed", 1, "bad")), log_end=LogEnd(3, Path("/logs/3"), ["line"]))
    plain = as_plain([seen], NOW)
    assert keys(plain) == set(table(read("hpc/README.md"), "key"))
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_what_is_not_known_is_null_and_lists_stay_lists(tmp_path: Path) -> None:
    ranks = [record(loss=None)]
    plain = as_plain([Look(job(tmp_path), JobState("pending", message="Priority"), ranks)], NOW)
    assert (plain["format"], plain["time"]) == (FORMAT, NOW)
    [found] = plain["jobs"]
    assert [found[name] for name in ("exit_code", "checkpoint", "log", "advice")] == [None] * 4
    assert (found["restarts"], found["curves"]) == ([], [])
    assert found["progress"][0]["left_s"] is None
    assert found["ranks"][0]["seen_s"] == 1.0
    assert not math.isnan(found["progress"][0]["per_s"])
