"""Training on real ranks without a scheduler: equal for every split of the work, early stop, damage, refusals."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.errors import CorruptError
from hpc.progress import read_progress
from hpc.save.checkpoint import committed_checkpoints
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.train.progress import Progress
from snw_dist.train.remake import lost_export
from tests.kit.ranks import Finished, run_ranks
from tests.kit.shipped import embedded_run
from tests.kit.trainings import TRAINING

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    """A small network without dropout on the shipped data; the store is embedded."""
    folder = tmp_path_factory.mktemp("training")
    return embedded_run(
        folder,
        "base",
        model={"d_model": 16, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 16, "dropout": 0},
        train={"max_steps": 6, "save_every": 3, "validate_every": 3, "zero_stage": 1, "warmup_steps": 2},
    )


def named(base: SnwConfig, name: str, **train: Any) -> SnwConfig:
    run = dataclasses.replace(base.run, name=name)
    config = dataclasses.replace(base, run=run, train=dataclasses.replace(base.train, **train))
    ensure_prepared(config)
    return config


def train(config: SnwConfig, world_size: int, folder: Path) -> list[Finished]:
    return run_ranks(TRAINING, world_size, config_to_dict(config), folder, timeout_s=200)


def records(config: SnwConfig, kind: str) -> list[dict[str, Any]]:
    lines = (config.run_folder / "metrics.jsonl").read_text().splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == kind]


def test_ranks_and_accumulation_do_not_change_the_mathematics(base: SnwConfig, tmp_path: Path) -> None:
    """100 pairs a step fall unevenly on 3 ranks; micro-batches of 20 need accumulation."""
    losses = []
    for number, (world_size, micro) in enumerate([(1, 100), (2, 20), (3, 100)]):
        config = named(base, f"split{number}", global_batch_size=100, micro_batch_size=micro)
        for rank in train(config, world_size, tmp_path / str(number)):
            assert rank.returncode == 0, rank.log
        losses.append([r["loss"] for r in records(config, "train") + records(config, "validation")])
        assert [r["step"] for r in records(config, "train")] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-5)
    np.testing.assert_allclose(losses[2], losses[0], rtol=2e-5)


def test_early_stop(base: SnwConfig, tmp_path: Path) -> None:
    config = named(base, "early", learning_rate=1e-12, validate_every=1, patience=2, max_steps=40)
    [rank] = train(config, 1, tmp_path)
    assert rank.returncode == 0, rank.log
    finished = json.loads((config.run_folder / "finished.json").read_text())
    assert finished["step"] < 40
    assert "2 validations" in finished["reason"]
    assert json.loads((config.run_folder / "checkpoints.json").read_text()).keys() == {"best", "last"}
    assert list((config.run_folder / "tensorboard").iterdir())
    [shown] = read_progress(tmp_path / "job" / "progress")
    assert 0 < (shown.figures["machine_share"] or 0) < 1


def test_trackers_have_every_step_once_of_a_run_that_goes_on(
    base: SnwConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.tracking import MlflowClient
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for this reader
    for world_size, steps in ((2, 6), (1, 9)):
        config = named(base, "tracked", tracker="mlflow", max_steps=steps)
        for rank in train(config, world_size, tmp_path / str(steps)):
            assert rank.returncode == 0, rank.log
            assert "given up" not in rank.log
    expected = {"train/loss": list(range(1, 10)), "validation/auroc": [3, 6, 9]}
    client = MlflowClient(tracking_uri=(config.run_folder / "mlflow").as_uri())
    [run] = client.search_runs([client.get_experiment_by_name("snw-dist").experiment_id])
    assert run.info.status == "FINISHED"
    told = {tag: client.get_metric_history(run.info.run_id, tag) for tag in expected}
    assert {tag: sorted(metric.step for metric in history) for tag, history in told.items()} == expected
    folder = config.run_folder / "tensorboard"
    shown, validated = (EventAccumulator(str(one)).Reload() for one in (folder, folder / "validation"))
    assert [event.step for event in shown.Scalars("train/loss")] == expected["train/loss"]
    assert [event.step for event in validated.Scalars("validation/auroc")] == expected["validation/auroc"]
    assert [event.step for event in validated.Tensors("validation/pr_curve")] == expected["validation/auroc"]
    losses = {record["step"]: record["loss"] for record in records(config, "train")}
    assert {event.step: pytest.approx(event.value) for event in shown.Scalars("train/loss")} == losses
    vectors = np.loadtxt(folder / "00009" / "default" / "tensors.tsv", delimiter="\t")
    rows = (folder / "00009" / "default" / "metadata.tsv").read_text().splitlines()
    assert len(vectors) == len(rows) - 1 > 20
    assert {row.split("\t")[0] for row in rows[1:]} == {"ligand", "receptor"}


def test_a_lost_export_of_a_finished_run_is_made_again(base: SnwConfig, tmp_path: Path) -> None:
    """Byte for byte, from the best checkpoint, though the last one is another; and nothing is trained."""
    config = named(base, "lost", learning_rate=1e-12, validate_every=1, patience=2, max_steps=40)
    [rank] = train(config, 1, tmp_path / "first")
    assert rank.returncode == 0, rank.log
    folder = config.run_folder / "export"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    metrics = (config.run_folder / "metrics.jsonl").read_bytes()
    finished = json.loads((config.run_folder / "finished.json").read_text())
    assert finished["best"]["step"] < finished["step"]
    progress = Progress(finished["step"], finished["best"]["auroc"], finished["best"]["step"])
    assert lost_export(config.run_folder, progress) is None
    shutil.rmtree(folder)
    [rank] = train(config, 2, tmp_path / "second")[:1]
    assert rank.returncode == 0, rank.log
    assert "there is no trained model" in rank.log
    assert "Made again from" in rank.log
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert (config.run_folder / "metrics.jsonl").read_bytes() == metrics

    def problem() -> str:
        with pytest.raises(CorruptError, match="cannot be made again") as caught:
            lost_export(config.run_folder, progress)
        return str(caught.value)

    data = bytearray(before["model.safetensors"])
    data[-1] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    found = lost_export(config.run_folder, progress)
    assert found is not None
    (found.path / "state_00000.safetensors").write_bytes(b"")
    assert re.search(r"model\.safetensors: SHA-256 \w+, expected .*state_00000\.safetensors: 0 bytes", problem())
    shutil.rmtree(found.path)
    assert re.search(rf"model\.safetensors: .*{found.path.name}.*Restore one of the two", problem())


def test_damage_falls_back_and_ends_equal_and_total_damage_is_refused(base: SnwConfig, tmp_path: Path) -> None:
    config = named(base, "damage")
    [rank] = train(config, 1, tmp_path / "first")
    assert rank.returncode == 0, rank.log
    whole = [(r["step"], r["loss"]) for r in records(config, "train")]
    weights = (config.run_folder / "export" / "model.safetensors").read_bytes()

    def flip(folder: Path) -> None:
        file = next(iter(sorted(folder.rglob("state_*.safetensors"))))
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)

    committed = committed_checkpoints(config.run_folder / "checkpoints")
    flip(committed[-1])
    [rank] = train(config, 1, tmp_path / "second")
    assert rank.returncode == 0, rank.log
    assert "SHA-256" in rank.log
    assert "resuming at step 3" in rank.log
    assert [(r["step"], r["loss"]) for r in records(config, "train")] == whole
    assert (config.run_folder / "export" / "model.safetensors").read_bytes() == weights
    assert (config.run_folder / "checkpoints" / f"set_aside_{committed[-1].name}").is_dir()
    for folder in committed_checkpoints(config.run_folder / "checkpoints"):
        flip(folder)
    [rank] = train(config, 1, tmp_path / "third")
    assert rank.returncode == 3
    assert "none of" in rank.log


def test_another_run_in_the_same_folder_is_refused(base: SnwConfig, tmp_path: Path) -> None:
    config = named(base, "other")
    [rank] = train(config, 1, tmp_path / "first")
    assert rank.returncode == 0, rank.log
    [rank] = train(named(base, "other", learning_rate=0.5), 1, tmp_path / "second")
    assert rank.returncode == 2
    assert "train.learning_rate: 0.001 then, 0.5 now" in rank.log
    changed = named(base, "other", learning_rate=0.5, allow_changes=True, max_steps=8)
    [rank] = train(changed, 1, tmp_path / "third")
    assert rank.returncode == 0, rank.log
    [rank] = train(named(base, "other", learning_rate=0.5, allow_changes=True, max_steps=7), 1, tmp_path / "fourth")
    assert rank.returncode == 2
    assert "is at step 8, and the run has 7 steps now" in rank.log
    [record] = records(changed, "changed")
    assert record["step"] == 6
    settings, schedule = record["changes"][:2], record["changes"][2]
    assert settings == ["train.max_steps: 6 then, 8 now", "train.learning_rate: 0.001 then, 0.5 now"]
    assert "the cosine is that of all 8 steps, before it was of 6" in schedule


def test_a_loss_that_is_not_finite_stops_all_ranks(base: SnwConfig, tmp_path: Path) -> None:
    # Each step multiplies the weights by 1 - 1,000 * 100.
    steps = {"learning_rate": 1000.0, "weight_decay": 100.0, "max_steps": 40, "warmup_steps": 0}
    config = named(base, "explodes", gradient_clipping=0.0, **steps)
    finished = train(config, 2, tmp_path)
    assert [rank.returncode for rank in finished] == [3, 3]
    assert "all ranks stop" in finished[0].log
