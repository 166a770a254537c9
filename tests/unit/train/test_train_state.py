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
from snw_dist.train.share import accumulation_steps
from snw_dist.train.state import Progress, check_resumable, trajectory, valid_ranks

DATA = "a" * 64


def facts(train: dict[str, Any] | None = None, ranks: int = 2, **sections: Any) -> dict[str, Any]:
    config: SnwConfig = config_from_dict({"train": train or {}, **sections})
    return trajectory(config, DATA, "d" * 64, ranks)


SAVED = json.loads(json.dumps(facts()))


def check(present: dict[str, Any], saved: dict[str, Any] = SAVED, **allow: bool) -> list[str]:
    permissions = {"allow_precision_change": False, "allow_changes": False} | allow
    return check_resumable(saved, present, **permissions, micro_batch_size=20, other_pairs=lambda: "51 pairs moved")


@pytest.mark.parametrize(
    "present",
    [
        facts(),
        facts(ranks=4),
        facts({"zero_stage": 3}),
        facts({"zero_stage": 0, "micro_batch_size": 3}, ranks=1),
        facts({"device": "cpu"}),
        facts({"patience": 7}),
        facts({"keep_last": 1, "keep_every": 5}),
        facts({"save_every": 3}),
        facts({"allow_precision_change": True, "allow_changes": True}),
        facts(run={"name": "other", "folder": "elsewhere"}),
        facts(evaluate={"bootstrap": 1}),
        facts(cluster={"nodes": 3}),
    ],
)
def test_what_may_change(present: dict[str, Any]) -> None:
    assert check(present) == []


def test_a_loss_within_micro_batches_needs_as_many_of_them() -> None:
    train = {"loss": "info_nce", "global_batch_size": 120, "micro_batch_size": 20}
    saved = facts(train, ranks=2)  # three micro-batches
    assert check(facts(train | {"micro_batch_size": 40}, ranks=1), saved) == []
    with pytest.raises(EnvironmentProblem) as caught:
        check(facts(train, ranks=3), saved)
    assert caught.value.exit_code == 4
    assert "micro-batches of a step: 3 then, 2 now" in str(caught.value)
    assert "start 2 to 2 ranks, or change it" in str(caught.value)
    assert check(facts(train, ranks=3), saved, allow_changes=True) == ["micro-batches of a step: 3 then, 2 now"]


@pytest.mark.parametrize("batch", [1, 7, 120, 128])
@pytest.mark.parametrize("micro", [1, 5, 20, 128])
def test_the_numbers_of_ranks_that_fit_are_those_that_fit(batch: int, micro: int) -> None:
    for num_micro in range(1, 10):
        fitting = [ranks for ranks in range(1, 200) if accumulation_steps(batch, micro, ranks) == num_micro]
        words = valid_ranks(batch, micro, num_micro)
        if not fitting:
            assert words == "no number of ranks fits"
        elif num_micro == 1:
            assert words == f"{fitting[0]} ranks or more"
        else:
            assert words == f"{fitting[0]} to {fitting[-1]} ranks"


@pytest.mark.parametrize(
    ("present", "message"),
    [
        (facts({"learning_rate": 0.5}), "train.learning_rate: 0.001 then, 0.5 now"),
        (facts({"epochs": 3}), "train.epochs: 20 then, 3 now"),
        (facts({"max_steps": 3}), "train.max_steps: None then, 3 now"),
        (facts({"global_batch_size": 3}), "train.global_batch_size: 128 then, 3 now"),
        (facts(model={"name": "siamese"}), "model.name: 'pseudo_siamese' then, 'siamese' now"),
        (facts(model={"margin": 1.0}), "model.margin: 2.0 then, 1.0 now"),
        (facts(run={"seed": 9}), "run.seed: 1 then, 9 now"),
        (facts() | {"embedding store": "e"}, "embedding store"),
        (facts() | {"training pairs": "e"}, "training pairs: 51 pairs moved"),
        (facts() | {"new": 1}, "new: None then, 1 now"),
    ],
)
def test_another_run_ends_with_two_unless_allowed(present: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check(present, allow_precision_change=True)
    assert caught.value.exit_code == 2
    assert message in str(caught.value)
    assert "Give a new run.name, or the old values" in str(caught.value)
    assert "--allow-changes" in str(caught.value)
    [allowed] = check(present, allow_changes=True)
    assert message in allowed


def test_a_checkpoint_of_an_older_version_does_not_say_on_which_pairs() -> None:
    """It holds digests of the input files, which do not say how they were split: that it is the same is not known."""
    before = {key: value for key, value in SAVED.items() if key != "training pairs"}
    before |= {"input pairs": "c" * 64, "input ligands": "d" * 64}
    with pytest.raises(InputError, match=r"checkpoints of another run \(training pairs: 51 pairs moved\)"):
        check(facts(), before)
    assert check(facts(), before, allow_changes=True) == ["training pairs: 51 pairs moved"]


def test_another_precision_has_a_permission_of_its_own() -> None:
    present = facts({"precision": "bf16"})
    for allow_changes in (False, True):
        with pytest.raises(InputError, match=r"'fp32' then, 'bf16' now.*--allow-precision-change"):
            check(present, allow_changes=allow_changes)
    assert check(present, allow_precision_change=True) == ["train.precision: 'fp32' then, 'bf16' now"]
    with pytest.raises(InputError, match="epochs: 20 then"):
        check(facts({"precision": "bf16", "epochs": 3}), allow_precision_change=True)


def test_every_setting_of_model_and_training_is_decided_upon() -> None:
    config = config_from_dict({})
    may_change = {"device", "patience", "keep_last", "keep_every", "save_every", "zero_stage", "micro_batch_size"}
    may_change |= {"allow_precision_change", "allow_changes"}
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
