"""What a training job is said to cost."""

from __future__ import annotations

import json
from pathlib import Path

from snw_dist.config import config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.train.cost import costs_by_network, training_cost
from tests.kit.tiny import configured, write_project


def test_steps_bytes_and_the_time_of_the_last_run_like_it(tmp_path: Path) -> None:
    write_project(tmp_path)
    config = configured(tmp_path)
    ensure_prepared(config)
    first = training_cost(config)
    assert first.startswith("72 training pairs, 4 steps; ")
    assert "up to 5 of them are there at once. How long it takes is not known before the first such run" in first
    old = config.run_folder.with_name("old")
    old.mkdir()
    (old / "config.json").write_text(json.dumps(config_to_dict(config)))
    records = [{"kind": "train", "step": n, "seconds": n} for n in (1, 30, 2)] + [{"kind": "save", "seconds": 900}]
    (old / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert training_cost(config).endswith("About 8.0 s, by the 2 s a step of run old")
    assert "not known" in training_cost(configured(tmp_path, train__global_batch_size=16))
    assert "not known" in training_cost(configured(tmp_path, model__size="large"))
    other = configured(tmp_path, model__name="triplet")
    [triplet, siamese] = costs_by_network([other, config, configured(tmp_path, run__name="two", run__seed=2)])
    assert triplet == f"triplet: {training_cost(other)}"
    assert siamese == f"siamese: 2 runs, the first of them {training_cost(config)}"
