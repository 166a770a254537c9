"""How long an embedding job is said to take."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.embedding.past_speed import PastSpeed, expected_time, past_speed


def configured(folder: Path, **sections: Any) -> SnwConfig:
    cluster = {"cluster": "slurm", "nodes": 4, "tasks_per_node": 2}
    return config_from_dict({"run": {"name": "new", "folder": str(folder)}, "cluster": cluster} | sections)


def embedded(run: Path, config: SnwConfig, ranks: int = 2) -> None:
    """What a job leaves whose ranks do 100 residues a second."""
    job = run / "jobs" / "1"
    job.mkdir(parents=True)
    request = {"entry_point": "snw_dist.embedding.run:run_embedding", "config": config_to_dict(config)}
    (job / "request.json").write_text(json.dumps(request))
    (job / "submitted.json").write_text(json.dumps({"num_tasks": ranks}))
    (run / "embedding").mkdir()
    for rank in range(ranks):
        lines = [json.dumps({"residues": 200, "seconds": 2.0}), json.dumps({"residues": 300, "seconds": 3.0})]
        (run / "embedding" / f"rank_{rank:05d}.jsonl").write_text("\n".join(lines) + "\n")


def test_the_last_job_with_this_encoder_on_this_cluster_counts(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert "not known before the first such job" in expected_time(config, 80_000)
    embedded(tmp_path / "old", config)
    assert past_speed(config) == PastSpeed("old", 2, 100.0)
    assert expected_time(config, 80_000).startswith("About 1 min 40 s: a rank of run old did 100 residues a second")
    for other in ({"encoder": {"layer": [0]}}, {"cluster": {"cluster": "slurm", "profile": "other"}}):
        assert past_speed(configured(tmp_path, **other)) is None


def test_ranks_of_this_machine_share_it(tmp_path: Path) -> None:
    """Twice as many are not twice as fast."""
    local = configured(tmp_path, cluster={"cluster": "local", "nodes": 8})
    embedded(tmp_path / "old", local)
    assert expected_time(local, 80_000).startswith("About 6 min 40 s")


def test_damaged_records_are_passed_over(tmp_path: Path) -> None:
    config = configured(tmp_path)
    embedded(tmp_path / "old", config)
    (tmp_path / "new" / "jobs" / "2").mkdir(parents=True)
    (tmp_path / "new" / "jobs" / "2" / "request.json").write_text("{")
    assert past_speed(config) is not None
    assert past_speed(dataclasses.replace(config, run=dataclasses.replace(config.run, folder="/no"))) is None
