"""What jobs are called: each says which run it works for, and those of `compare` which network they train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hpc.job.request import JobRequest
from launch import _submit
from snw_dist.config import config_from_dict
from snw_dist.evaluate.compare.folds import folds_of
from snw_dist.evaluate.compare.runs import variants


@pytest.mark.parametrize("all_folds", [False, True])
def test_a_job_of_compare_is_called_by_its_network_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_folds: bool
) -> None:
    asked: list[JobRequest] = []
    refused: list[str] = []

    def run_array(requests: Sequence[JobRequest], *_: Any) -> int:
        asked.extend(requests)
        return 0

    monkeypatch.setattr("hpc.submit.array.run_array", run_array)
    monkeypatch.setattr("hpc.submit.jobs_of_run.refuse_waiting", lambda folder, name, own: refused.append(name))
    split = {"method": "receptor_cold", "clusters": "identical", "folds": 3}
    run = {"name": "peptides", "folder": str(tmp_path)}
    settings = config_from_dict({"run": run, "data": {"split": split}, "cluster": {"cluster": "local"}})
    folds = folds_of(settings) if all_folds else [settings]
    groups = [variants(fold, ["siamese", "triplet"], [1, 7]) for fold in folds]
    tasks = [task for group in groups for runs in group.values() for task in runs]
    assert _submit.run_all(settings, tasks, "compare", "a.b:c", "cpu", None) == 0
    places = [f"peptides-fold{number}" for number in range(3)] if all_folds else ["peptides"]
    names = [
        f"compare-{place}-{model}-{seed}" for place in places for model in ("siamese", "triplet") for seed in (1, 7)
    ]
    assert [request.name for request in asked] == refused == names
    assert {request.array_name for request in asked} == {"compare-peptides"}
    assert {request.folder for request in asked} == {settings.run_folder.absolute()}, "status finds all in one folder"


def test_tasks_of_one_embedding_are_called_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[JobRequest] = []
    monkeypatch.setattr("hpc.submit.array.run_array", lambda requests, *_: asked.extend(requests) or 0)
    run = {"name": "x", "folder": str(tmp_path)}
    settings = config_from_dict({"run": run, "cluster": {"cluster": "local", "array": 3}})
    assert _submit.submit_and_follow(settings, "embed", "a.b:c", "cpu", None, detach=False)
    assert [request.name for request in asked] == ["embed-x"] * 3
