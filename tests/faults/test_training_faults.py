"""SIGKILL, stop requests and a full disk in the middle of training; the end is always that of a run left in peace.

By default a few times each; `SNW_FAULT_REPEATS=100` tries as many.
"""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import committed_checkpoints, find_checkpoint, step_of
from snw_dist.config import SnwConfig, config_to_dict
from tests.bench.elastic import embedded
from tests.kit.ranks import Ranks, run_ranks, small_disk, start_ranks
from tests.kit.trainings import TRAINING

pytestmark = [pytest.mark.faults, pytest.mark.distributed]
REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "4"))
NUM_STEPS = 60


@dataclass
class Tried:
    """Figures of a fault that was tried several times on one run."""

    tried: int
    kept_promise: int
    lost_steps: int
    """The most that any of them cost."""
    same_end: bool


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    """A run left in peace, by the name of `peace`."""
    config = embedded(tmp_path_factory.mktemp("faults"), dropout=0.1)
    train = dataclasses.replace(config.train, max_steps=NUM_STEPS, save_every=1, validate_every=20, zero_stage=2)
    data = dataclasses.replace(config.data, folder=str(config.data_folder))
    config = dataclasses.replace(config, train=train, data=data)
    for rank in run_ranks(TRAINING, 2, config_to_dict(named(config, "peace")), Path(config.run.folder) / "peace-job"):
        assert rank.returncode == 0, rank.log
    return config


def named(config: SnwConfig, name: str) -> SnwConfig:
    return dataclasses.replace(config, run=dataclasses.replace(config.run, name=name))


def trained_steps(config: SnwConfig) -> list[dict[str, Any]]:
    file = config.run_folder / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [record for record in map(json.loads, lines) if record["kind"] == "train"]


def last_step(config: SnwConfig) -> int:
    return int(max((record["step"] for record in trained_steps(config)), default=0))


def committed_step(config: SnwConfig) -> int:
    """Of the newest checkpoint that verifies; fails where there are some and none does."""
    found = find_checkpoint(config.run_folder / "checkpoints", Communicator.alone())
    return 0 if found is None else found.step


def same_end(config: SnwConfig) -> bool:
    """Losses of all steps, the exported weights and the whole last state are those of the run left in peace."""
    peace = named(config, "peace")
    losses = [[(r["step"], r["loss"]) for r in trained_steps(run)] for run in (config, peace)]
    exports = [(run.run_folder / "export" / "model.safetensors").read_bytes() for run in (config, peace)]
    states = [
        [
            file.read_bytes()
            for file in sorted(committed_checkpoints(run.run_folder / "checkpoints")[-1].glob("state_*"))
        ]
        for run in (config, peace)
    ]
    return losses[0] == losses[1] and exports[0] == exports[1] and states[0] == states[1]


def disturbed(config: SnwConfig, folder: Path, repeats: int, disturb: Callable[[Ranks, int], list[int]]) -> Tried:
    """Start the run `repeats` times and disturb it, which ends the ranks with the codes expected; then let it end."""
    kept, most_lost = 0, 0
    for number in range(repeats):
        before = committed_step(config)
        with start_ranks(TRAINING, 2, config_to_dict(config), folder / str(number)) as ranks:
            expected = disturb(ranks, before)
            done = ranks.finish(120)
        assert [rank.returncode for rank in done] == expected, ranks.logs()
        committed, reached = committed_step(config), max(last_step(config), before)
        kept += before <= committed <= reached
        most_lost = max(most_lost, reached - committed)
    for rank in run_ranks(TRAINING, 2, config_to_dict(config), folder / "last"):
        assert rank.returncode == 0, rank.log
    return Tried(repeats, kept, most_lost, same_end(config))


def killed_while_resuming(base: SnwConfig, folder: Path, repeats: int) -> Tried:
    """SIGKILL to both ranks from their first second on: while they start, resume, train and save."""
    config, chance = named(base, "killed"), random.Random(0)

    def disturb(ranks: Ranks, before: int) -> list[int]:
        if before == 0 or chance.random() < 0.3:
            ranks.wait_for(lambda: committed_step(config) > before)
        else:
            ranks.wait_for(lambda: "resuming at step" in ranks.logs() or chance.random() < 0.002)
        time.sleep(chance.uniform(0.0, 0.2))
        ranks.send(signal.SIGKILL)
        return [-signal.SIGKILL, -signal.SIGKILL]

    return disturbed(config, folder, repeats, disturb)


def stopped_with_a_save_in_flight(base: SnwConfig, folder: Path, repeats: int) -> Tried:
    """A stop request to one rank, in turns, while every step is being saved."""
    config, chance = named(base, "stopped"), random.Random(1)

    def disturb(ranks: Ranks, before: int) -> list[int]:
        ranks.wait_for(lambda: last_step(config) >= before + 2)
        time.sleep(chance.uniform(0.0, 0.05))
        ranks.send(chance.choice([signal.SIGUSR2, signal.SIGTERM]), chance.randrange(2))
        return [75, 75]

    return disturbed(config, folder, repeats, disturb)


@pytest.mark.timeout(200 + 60 * REPEATS)
def test_killed_while_resuming(base: SnwConfig, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    found = killed_while_resuming(base, tmp_path, REPEATS)
    record_property("tried", found.tried)
    record_property("lost_steps", found.lost_steps)
    assert found.kept_promise == found.tried == REPEATS
    assert found.lost_steps <= 2, "one save in flight, and the step that follows it"
    assert found.same_end


@pytest.mark.timeout(200 + 60 * REPEATS)
def test_stopped_with_a_save_in_flight(
    base: SnwConfig, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    repeats = min(REPEATS, NUM_STEPS // 6)
    found = stopped_with_a_save_in_flight(base, tmp_path, repeats)
    record_property("tried", found.tried)
    record_property("lost_steps", found.lost_steps)
    assert found == Tried(repeats, repeats, 0, True)


@pytest.mark.timeout(200)
def test_a_full_disk_ends_all_ranks_and_keeps_what_is_there(base: SnwConfig, tmp_path: Path) -> None:
    config = named(base, "full")
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, keep_last=100))
    with small_disk(config.run_folder / "checkpoints") as disk:
        done = run_ranks(TRAINING, 2, config_to_dict(config), tmp_path)
        assert [rank.returncode for rank in done] == [3, 3], done[0].log
        assert all("GB are free there" in rank.outcome["message"] for rank in done)
        whole = committed_checkpoints(disk)
        assert whole
        assert committed_step(config) == step_of(whole[-1]) < NUM_STEPS
