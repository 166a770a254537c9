"""A run that is gone on with for more steps or fewer: what is allowed, what is refused before a job, what is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from hpc.errors import InputError
from hpc.told import TOLD
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.train.precheck import check_training
from snw_dist.train.progress import Progress
from snw_dist.train.remake import lost_export
from snw_dist.trained_run.changes import Change, change_of
from snw_dist.trained_run.folder import read_finished
from tests.kit.tiny import configured, contents, launched, trained_as_it_is


def records(config: SnwConfig, kind: str) -> list[dict[str, Any]]:
    lines = (config.run_folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def told(log_folder: Path) -> str:
    """What the job left for the command that follows it."""
    [file] = log_folder.rglob(TOLD)
    return file.read_text()


OTHER: dict[str, Any] = {
    "zero_stage": 1,
    "device": "cpu",
    "micro_batch_size": 7,
    "patience": 9,
    "save_every": 1,
    "keep_last": 9,
    "keep_every": 2,
    "tracker": "mlflow",
    "allow_precision_change": True,
    "allow_changes": True,
    "epochs": 30,
    "max_steps": 400,
    "validate_every": 1,
    "precision": "bf16",
    "encoder_mode": "lora",
    "lora_rank": 2,
    "temperature": 0.2,
    "encoder_learning_rate_ratio": 0.2,
    "loss": "rank",
    "triplet_margin": 0.25,
    "mining": "hard",
    "global_batch_size": 16,
    "pairs_per_receptor": 2,
    "learning_rate": 0.5,
    "min_learning_rate_ratio": 0.5,
    "warmup_steps": 2,
    "weight_decay": 0.5,
    "gradient_clipping": 2.0,
    "monitor": "loss",
}
NETWORK: dict[str, Any] = {
    "name": "triplet",
    "size": "base",
    "d_model": 32,
    "num_heads": 2,
    "num_conv_layers": 3,
    "dropout": 0.5,
    "num_transformer_layers": 3,
    "kernel_size": 3,
    "num_pooling_queries": 8,
    "embedding_size": 8,
    "margin": 1.0,
    "max_length": 9,
}
KEYS = {f"train.{key}": value for key, value in OTHER.items()} | {f"model.{key}": v for key, v in NETWORK.items()}


def test_all_settings_are_tried(project: Path) -> None:
    plain = config_to_dict(configured(project))
    assert set(KEYS) == {f"{section}.{name}" for section in ("train", "model") for name in plain[section]}
    assert all(value != plain[key.split(".")[0]][key.split(".")[1]] for key, value in KEYS.items())


@pytest.mark.parametrize("key", KEYS)
def test_each_setting_is_refused_or_allowed_before_a_job_is_submitted(project: Path, key: str) -> None:
    before = contents(project)
    config, kind = configured(project, **{key.replace(".", "__"): KEYS[key]}), change_of(key)
    permitted = {Change.PRECISION: "allow_precision_change", Change.ALLOWED: "allow_changes"}
    if kind in (Change.FREE, Change.TOLD):
        check_training(config)
    elif key == "train.encoder_mode":  # the store of this project is made up, no encoder has made it
        with pytest.raises(InputError):
            check_training(config)
    else:
        for flags in ({}, {"allow_precision_change": True, "allow_changes": True}):
            allowed = dataclasses.replace(config, train=dataclasses.replace(config.train, **flags))
            if flags and kind is not Change.NEVER:
                check_training(allowed)
                continue
            with pytest.raises(InputError, match="checkpoints of another run") as caught:
                check_training(allowed)
            assert f"{key}: " in str(caught.value)
            way = f"--{permitted[kind].replace('_', '-')}" if kind in permitted else "No option"
            assert f"{way} continues with the new ones" in str(caught.value)
    assert contents(project) == before


@pytest.mark.parametrize("fewer", [{"train__max_steps": 3}, {"train__epochs": 1, "train__allow_changes": True}])
def test_fewer_steps_than_are_done_are_refused_before_a_job_is_submitted(project: Path, fewer: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"is at step 4, and the run has 3 steps now \(train\.\w+: .*taken back"):
        check_training(configured(project, **fewer))


def test_the_command_refuses_without_a_job(copy: Path) -> None:
    before = contents(copy)
    done = launched(copy, "train", "--set", "model.embedding_size=8", "--allow-changes")
    assert done.returncode == 2, done.stdout + done.stderr
    [line] = done.stderr.splitlines()
    assert "No option continues with the new ones" in line
    assert "train-tiny" not in done.stdout
    assert not (copy / "runs" / "tiny" / "jobs").exists()
    assert contents(copy) == before


def test_a_finished_run_is_trained_on_and_says_what_that_means(copy: Path, tmp_path: Path) -> None:
    config = configured(copy, train__max_steps=8, train__validate_every=1)
    check_training(config)
    rank = trained_as_it_is(config, tmp_path / "log")
    assert rank.returncode == 0, rank.log
    finished = read_finished(config.run_folder)
    assert finished is not None
    assert (finished.step, finished.reason) == (8, "all steps done (train.max_steps 8)")
    assert [record["step"] for record in records(config, "train")] == list(range(1, 9))
    assert [record["step"] for record in records(config, "validation")] == [2, 4, 5, 6, 7, 8]
    [changed] = records(config, "changed")
    assert changed["step"] == 4
    lengths, validations, schedule = changed["changes"]
    assert lengths == "train.max_steps: 4 then, 8 now"
    assert validations == "train.validate_every: 2 then, 1 now"
    assert schedule.startswith("learning rate: from here on the cosine is that of all 8 steps, before it was of 4: ")
    rates = [record["learning_rate"] for record in records(config, "train")]
    assert schedule.endswith(f"{rates[3]:.3g} at step 4, {rates[4]:.3g} at step 5")
    assert rates[4] > rates[3]
    said = told(tmp_path / "log")
    assert "resuming at step 4 of 8 (epoch 2 of 3), from checkpoint " in said
    assert said.count(": validation AUROC ") == 4
    assert f"finished at step 8 of 8 (epoch 3 of 3): {finished.reason}" in said
    assert f"at step {finished.best['step']}\n" in said
    assert str(config.run_folder / "export") in said
    for line in said.splitlines():
        assert line in rank.log  # also for a job that nobody follows


def test_a_finished_run_has_nothing_to_do(copy: Path, tmp_path: Path) -> None:
    """It says so, and how to train on; its checkpoints, metrics and export stay as they are."""
    config = configured(copy)
    before = contents(config.run_folder)
    rank = trained_as_it_is(config, tmp_path / "log")
    assert rank.returncode == 0, rank.log
    said = told(tmp_path / "log")
    assert "nothing to do: finished before at step 4 of 4 (epoch 2 of 2): all steps done (train.max_steps 4)" in said
    assert "To train on: --set train.max_steps=N" in said
    after = contents(config.run_folder)
    same = {name for name in before if name.startswith(("checkpoints/", "export/", "metrics"))}
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


def test_another_measure_of_the_best_begins_anew_with_the_weights_that_are_there(copy: Path, tmp_path: Path) -> None:
    """By AUROC the best is .5 or so; no loss with its sign turned is above that, and the export would have stayed."""
    config = configured(copy, train__monitor="loss", train__allow_changes=True, train__max_steps=6)
    rank = trained_as_it_is(config, tmp_path / "log")
    assert rank.returncode == 0, rank.log
    finished = read_finished(config.run_folder)
    assert finished is not None
    losses = {record["step"]: record["loss"] for record in records(config, "validation") if record["step"] >= 4}
    best = min(losses, key=lambda step: losses[step])
    assert finished.best == {"step": best, "loss": pytest.approx(-losses[best])}
    assert lost_export(config.run_folder, Progress(6, finished.best["loss"], best)) is None
    assert sorted(losses) == [4, 6]


def test_the_command_ends_with_the_next_one(copy: Path) -> None:
    (copy / "SNW_config.json").rename(copy / "my own.json")
    done = launched(copy, "train", "--config", "my own.json", "--set", "train.max_steps=5")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("next: python ")
    assert lines[-1].endswith("launch/evaluate.py --run tiny --config 'my own.json'")
    assert any("resuming at step 4 of 5 (epoch 2 of 2), from checkpoint " in line for line in lines)
    assert any("validation AUROC" in line for line in lines)
