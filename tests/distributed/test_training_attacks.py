"""Damage in a gradient under a finite loss, in every ZeRO stage and precision; stops in the midst of a validation."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from hpc.save.checkpoint import committed_checkpoints, step_of, verify_checkpoint
from snw_dist.config import Precision, SnwConfig, config_to_dict
from tests.kit.ranks import run_ranks
from tests.kit.shipped import DATA, embedded_run

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]
DAMAGED_STEP = 4
NUM_PASSES = 6
"""Of a validation by two ranks."""
NAMES = ["ligand_tower.pooling.value.weight", "receptor_tower.output.4.bias", "ligand_tower.encoder.input.input.weight"]
CASES: list[tuple[int, Precision]] = [(stage, precision) for precision in ("fp32", "bf16") for stage in range(4)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    folder = tmp_path_factory.mktemp("numbers")
    header, *rows = (DATA / "pairs.csv").read_text().splitlines(keepends=True)
    (folder / "pairs.csv").write_text(header + "".join(rows[::15]))
    small = {"d_model": 16, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 16, "max_length": 64}
    train = {"max_steps": 6, "save_every": 2, "validate_every": 3, "global_batch_size": 16, "keep_last": 9}
    data, evaluate = {"pairs": str(folder / "pairs.csv")}, {"batch_size": 8}
    config = embedded_run(folder, "base", model=small, train=train, data=data, evaluate=evaluate)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, folder=str(config.data_folder)))


def named(base: SnwConfig, name: str, **train: Any) -> SnwConfig:
    run = dataclasses.replace(base.run, name=name)
    return dataclasses.replace(base, run=run, train=dataclasses.replace(base.train, **train))


def test_a_gradient_that_is_not_finite_stops_all_ranks_at_its_step(base: SnwConfig, tmp_path: Path) -> None:
    configs = [named(base, f"{stage}-{precision}", zero_stage=stage, precision=precision) for stage, precision in CASES]
    configs.append(named(base, "unclipped", zero_stage=0, gradient_clipping=0.0))
    values = ["nan", "inf", "-inf", "nan", "inf", "nan", "nan", "inf", "nan"]
    cases = [
        {
            "config": config_to_dict(config),
            "rank": number % 2,
            "damage": {"step": DAMAGED_STEP, "name": NAMES[number % 3], "value": value},
        }
        for number, (config, value) in enumerate(zip(configs, values, strict=True))
    ]
    ranks = run_ranks("tests.kit.damage_points:gradients", 2, {"cases": cases}, tmp_path, timeout_s=250)
    assert [rank.returncode for rank in ranks] == [0, 0], ranks[0].log
    first, second = (json.loads((tmp_path / "job" / f"ended-rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
    for number, (config, (code, message)) in enumerate(zip(configs, first, strict=True)):
        assert code == 3, (config.run.name, message)
        assert message.startswith(f"step {DAMAGED_STEP}: the gradient of {NAMES[number % 3]!r} is not finite"), message
        assert "the loss is nan" not in message
        lines = [json.loads(line) for line in (config.run_folder / "metrics.jsonl").read_text().splitlines()]
        trained = [line for line in lines if line["kind"] == "train"]
        assert [line["step"] for line in trained] == [1, 2, 3]
        assert all(math.isfinite(line["gradient_norm"]) and line["skipped_steps"] == 0 for line in trained)
        saved = committed_checkpoints(config.run_folder / "checkpoints")
        assert {step_of(path) for path in saved} == {2, 3}, "3 is the best; the one in flight is kept too"
        assert verify_checkpoint(saved[-1]).meta["state"]["adam_step"] == 3
        assert not (config.run_folder / "finished.json").exists()


def test_fp16_counts_what_it_skips_and_ends_when_it_can_skip_no_more(base: SnwConfig, tmp_path: Path) -> None:
    """From its first loss scale, 65,536, it is at the smallest after 17 steps, or 18 at stage 0."""
    settings = {"precision": "fp16", "max_steps": 30, "validate_every": 30, "save_every": 30}
    configs = [named(base, f"fp16-{stage}", zero_stage=stage, **settings) for stage in (0, 2)]
    once = named(base, "once", zero_stage=3, **settings | {"max_steps": 5})
    cases = [
        {"config": config_to_dict(config), "rank": 1, "damage": {"step": None, "name": NAMES[0], "value": "nan"}}
        for config in configs
    ]
    cases.append({"config": config_to_dict(once), "rank": 0, "damage": {"step": 2, "name": NAMES[1], "value": "inf"}})
    ranks = run_ranks("tests.kit.damage_points:gradients", 2, {"cases": cases}, tmp_path, timeout_s=250)
    assert [rank.returncode for rank in ranks] == [0, 0], ranks[0].log
    first, second = (json.loads((tmp_path / "job" / f"ended-rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
    for (code, message), config in zip(first, configs, strict=False):
        assert code == 3, message
        assert "skipped at the smallest loss scale: the gradient of" in message
        assert NAMES[0] in message
        lines = [json.loads(line) for line in (config.run_folder / "metrics.jsonl").read_text().splitlines()]
        assert [line["skipped_steps"] for line in lines] == [line["step"] for line in lines]
        assert 15 < len(lines) < 22
        assert not committed_checkpoints(config.run_folder / "checkpoints")
    assert first[-1] == [0, "done"]
    skipped = json.loads((once.run_folder / "finished.json").read_text())["skipped_steps"]
    [last] = committed_checkpoints(once.run_folder / "checkpoints")
    assert verify_checkpoint(last).meta["state"]["adam_step"] == 5 - skipped
    assert 1 <= skipped < 4, "the one that was damaged, and those that find the first loss scale too large"
    assert f"fp16 skipped {skipped} steps" in ranks[0].log


def bookkeeping(config: SnwConfig) -> dict[str, Any]:
    """All that a run leaves, but for times and the saves that a stop adds."""
    folder = config.run_folder
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timing = ("seconds", "pairs_per_s", "data_wait_s")
    kept = [{k: v for k, v in line.items() if k not in timing} for line in lines if line["kind"] != "save"]
    last = committed_checkpoints(folder / "checkpoints")[-1]
    return {
        "metrics": kept,
        "finished": json.loads((folder / "finished.json").read_text()),
        "checkpoints": json.loads((folder / "checkpoints.json").read_text()),
        "progress": verify_checkpoint(last).meta["progress"],
        "state": [file.read_bytes() for file in sorted(last.glob("state_*"))],
        "weights": (folder / "export" / "model.safetensors").read_bytes(),
    }


@pytest.mark.parametrize("stage", range(4) if "SNW_FAULT_REPEATS" in os.environ else [3])
def test_a_stop_during_the_validation_is_honoured_there_and_changes_nothing(
    base: SnwConfig, tmp_path: Path, stage: int
) -> None:
    """Then a death before the next save, and two stops in another validation, by a signal to either rank."""
    peace, stopped = (
        named(base, f"{name}-{stage}", zero_stage=stage, validate_every=2, save_every=3, patience=9, max_steps=5)
        for name in ("peace", "stopped")
    )
    values = config_to_dict(stopped)
    cases: list[dict[str, Any]] = [
        {"config": config_to_dict(peace)},
        {"config": values, "stop": [1, 2]},
        {"config": values, "fail_in": "snw_dist.train.loop.take_step"},
        {"config": values, "stop": [1, NUM_PASSES + 3]},
        {"config": values, "stop": [0, 1]},
        {"config": values},
    ]
    ranks = run_ranks("tests.kit.damage_points:stops", 2, {"cases": cases}, tmp_path, timeout_s=250)
    assert [rank.returncode for rank in ranks] == [0, 0], ranks[0].log
    first, second = (json.loads((tmp_path / "job" / f"ended-rank{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert [code for code, _ in first] == [0, 75, 1, 75, 75, 0], first
    stopped_at = [message.partition("state of ")[2].partition(" is saved")[0] for _, message in first]
    assert stopped_at == ["", "step 2", "", "step 4", "step 4", ""]
    records = bookkeeping(peace)["metrics"]
    assert [line["step"] for line in records if line["kind"] == "validation"] == [2, 4, 5]
    assert bookkeeping(stopped) == bookkeeping(peace)
