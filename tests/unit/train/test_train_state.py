"""What may differ between a checkpoint and the run that takes it up."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.train.check import check_precision
from snw_dist.train.state import Progress, check_resumable, trajectory

INPUTS = {"ligands": "a" * 64, "receptors": "b" * 64, "pairs": "c" * 64}


def facts(train: dict[str, Any] | None = None, ranks: int = 2, **sections: Any) -> dict[str, Any]:
    config: SnwConfig = config_from_dict({"train": train or {}, **sections})
    return trajectory(config, INPUTS, "d" * 64, ranks)


SAVED = json.loads(json.dumps(facts()))


@pytest.mark.parametrize(
    "present",
    [
        facts(),
        facts({"device": "cpu"}),
        facts({"patience": 7}),
        facts({"keep_last": 1}),
        facts({"save_every": 3}),
        facts(run={"name": "other", "folder": "elsewhere"}),
        facts(evaluate={"bootstrap": 1}),
        facts(cluster={"nodes": 3}),
    ],
)
def test_what_may_change(present: dict[str, Any]) -> None:
    check_resumable(SAVED, present)


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (facts(ranks=4), "number of ranks: 2 then, 4 now"),
        (facts({"zero_stage": 3}), "train.zero_stage: 2 then, 3 now"),
        (facts({"zero_stage": 0}, ranks=1), "number of ranks: 2 then, 1 now; train.zero_stage: 2 then, 0 now"),
    ],
)
def test_another_topology_ends_with_four(present: dict[str, Any], message: str) -> None:
    with pytest.raises(EnvironmentProblem) as caught:
        check_resumable(SAVED, present)
    assert caught.value.exit_code == 4
    assert message in str(caught.value)
    assert "same number of ranks" in str(caught.value)
    assert "run.name" in str(caught.value)


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (facts({"learning_rate": 0.5}), "train.learning_rate: 0.001 then, 0.5 now"),
        (facts({"precision": "bf16"}), "train.precision: 'fp32' then, 'bf16' now"),
        (facts({"epochs": 3}), "train.epochs: 20 then, 3 now"),
        (facts({"max_steps": 3}), "train.max_steps: None then, 3 now"),
        (facts({"global_batch_size": 3}), "train.global_batch_size: 128 then, 3 now"),
        (facts({"micro_batch_size": 3}), "train.micro_batch_size"),
        (facts(model={"name": "siamese"}), "model.name: 'pseudo_siamese' then, 'siamese' now"),
        (facts(model={"margin": 1.0}), "model.margin: 2.0 then, 1.0 now"),
        (facts(run={"seed": 9}), "run.seed: 1 then, 9 now"),
        (facts({"epochs": 3}, ranks=4), "number of ranks"),
        (facts() | {"embedding store": "e"}, "embedding store"),
        (facts() | {"input pairs": "e"}, "input pairs"),
        (facts() | {"new": 1}, "new: None then, 1 now"),
    ],
)
def test_another_run_ends_with_two(present: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_resumable(SAVED, present)
    assert caught.value.exit_code == 2
    assert message in str(caught.value)
    assert "Give a new run.name, or the old values" in str(caught.value)


def test_every_setting_of_model_and_training_is_decided_upon() -> None:
    config = config_from_dict({})
    may_change = {"device", "patience", "keep_last", "save_every"}
    for section in ("train", "model"):
        for field in dataclasses.fields(getattr(config, section)):
            expected = section == "model" or field.name not in may_change
            assert (f"{section}.{field.name}" in SAVED) == expected, field.name


def test_progress_keeps_the_best() -> None:
    progress = Progress()
    outcomes = []
    for step, value in enumerate([0.5, 0.5, 0.4, 0.6, float("nan"), 0.7, 0.1], start=1):
        progress.step = step
        outcomes.append(progress.record(value))
    assert outcomes == [True, False, False, True, False, True, False]
    assert progress == Progress(step=7, best_value=0.7, best_step=6, worse_in_a_row=1)
    assert Progress(**json.loads(json.dumps(dataclasses.asdict(progress)))) == progress


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(EnvironmentProblem, match="Use 'bf16' or 'fp32'") as caught:
        check_precision("fp16", "cpu")
    assert caught.value.exit_code == 4
    check_precision("fp16", "cuda")  # the nodes may have one
    check_precision("bf16", "cpu")
    check_precision("fp32", "auto")


@pytest.mark.parametrize("available", [True, False])
def test_fp16_on_a_machine_that_chooses_itself(available: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    if available:
        check_precision("fp16", "auto")
    else:
        with pytest.raises(EnvironmentProblem, match="fp16"):
            check_precision("fp16", "auto")
