"""Two jobs are pointed at one run folder."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from snw_dist.config import SnwConfig, config_to_dict
from tests.kit.ranks import run_ranks, start_ranks
from tests.kit.shipped import embedded_run
from tests.kit.trainings import TRAINING

pytestmark = [pytest.mark.faults, pytest.mark.distributed, pytest.mark.timeout(300)]


@pytest.fixture
def config(tmp_path: Path) -> SnwConfig:
    train = {"max_steps": 100_000, "validate_every": 100_000, "save_every": 100_000, "global_batch_size": 8}
    model = {"d_model": 16, "num_heads": 2, "embedding_size": 16}
    return embedded_run(tmp_path, "shared", model=model, train=train)


def test_the_second_job_is_refused_and_the_first_goes_on(config: SnwConfig, tmp_path: Path) -> None:
    lines = config.run_folder / "metrics.jsonl"
    with start_ranks(TRAINING, 2, config_to_dict(config), tmp_path / "first") as first:
        first.wait_for(lambda: lines.exists() and len(lines.read_text().splitlines()) >= 3)
        before = json.loads((config.run_folder / "attempt.json").read_text())
        second = run_ranks(TRAINING, 1, config_to_dict(config), tmp_path / "second", env={"SLURM_JOB_ID": "77"})
        assert [rank.returncode for rank in second] == [4], second[0].log
        assert (
            f"in use by job {before['attempt'].rpartition('-')[0]}, of {before['user']} on {before['host']}"
            in second[0].log
        )
        assert json.loads((config.run_folder / "attempt.json").read_text()) == before
        seen = len(lines.read_text().splitlines())
        first.wait_for(lambda: len(lines.read_text().splitlines()) > seen + 2)
        first.send(signal.SIGTERM)
        assert [rank.returncode for rank in first.finish()] == [75, 75], first.logs()
    records = map(json.loads, lines.read_text().splitlines())
    steps = [record["step"] for record in records if record["kind"] == "train"]
    assert steps == list(range(1, len(steps) + 1))
