"""What may differ between a checkpoint and the run that takes it up."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.train.plan import number_of_steps
from snw_dist.trained_run.changes import CHANGES, DIVISION, PAIRS, STORE, Change, change_of, differing, other_measure
from snw_dist.trained_run.resumable import check_resumable, refuse_fewer_steps, valid_ranks
from snw_dist.trained_run.trajectory import accumulation_steps, trajectory

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
        (facts({"global_batch_size": 3}), "train.global_batch_size: 128 then, 3 now"),
        (facts({"monitor": "loss"}), "train.monitor: 'auroc' then, 'loss' now"),
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
    other = facts({"precision": "bf16", "learning_rate": 0.5})
    with pytest.raises(InputError, match=r"learning_rate: 0\.001 then"):
        check(other, allow_precision_change=True)
    with pytest.raises(InputError, match="--allow-precision-change --allow-changes continues"):
        check(other)


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Dotted keys of all settings that a dataclass holds."""
    if not dataclasses.is_dataclass(value):
        return {key: value}
    parts = [flat(getattr(value, field.name), f"{key}.{field.name}".lstrip(".")) for field in dataclasses.fields(value)]
    return {name: setting for part in parts for name, setting in part.items()}


@pytest.mark.parametrize("key", sorted(key for key in SAVED if key in flat(config_from_dict({}))))
def test_another_value_of_each_setting_needs_what_the_table_says(key: str) -> None:
    present = SAVED | {key: "another"}
    options = {
        Change.TOLD: [{}],
        Change.PRECISION: [{"allow_precision_change": True}],
        Change.ALLOWED: [{"allow_changes": True}],
        Change.NEVER: list[dict[str, bool]](),
    }[change_of(key)]
    flags = ("allow_precision_change", "allow_changes")
    for given in ({}, *({flag: True} for flag in flags), dict.fromkeys(flags, True)):
        if any(option.items() <= given.items() for option in options):
            assert check(present, **given) == [f"{key}: {SAVED[key]!r} then, 'another' now"]
        else:
            with pytest.raises(InputError) as caught:
                check(present, **given)
            named = [flag for flag in flags if f"--{flag.replace('_', '-')}" in str(caught.value)]
            assert [{flag: True} for flag in named] == options
            assert ("No option continues" in str(caught.value)) == (not options)


def test_a_checkpoint_whose_epochs_were_divided_otherwise_is_not_gone_on_with_in_silence() -> None:
    before = {key: value for key, value in SAVED.items() if key != DIVISION}
    with pytest.raises(InputError, match=r"division of an epoch .*took what was left then.*--allow-changes"):
        check(facts(), before)
    [said] = check(facts(), before, allow_changes=True)
    assert "all have equally many pairs now" in said


@pytest.mark.parametrize(
    ("train", "step", "said"),
    [
        ({"epochs": 3}, 300, None),
        ({"epochs": 3}, 301, "at step 301, and the run has 300 steps now (train.epochs: 3)"),
        ({"epochs": 3, "max_steps": 300}, 301, "(train.max_steps: 300)"),
        ({"epochs": 3, "max_steps": 301}, 301, "(train.epochs: 3)"),
        ({"max_steps": 100}, 2000, "2,000, and the run has 100 steps now (train.max_steps: 100)"),
        ({"max_steps": 100}, 100, None),
    ],
)
def test_steps_that_are_done_cannot_be_taken_back(train: dict[str, Any], step: int, said: str | None) -> None:
    section = config_from_dict({"train": train}).train
    num_steps = number_of_steps(12_800, 128, section.epochs, section.max_steps)
    if said is None:
        refuse_fewer_steps("place", step, num_steps, section)
        return
    with pytest.raises(InputError) as caught:
        refuse_fewer_steps("place", step, num_steps, section)
    assert said in str(caught.value)
    assert "cannot be taken back" in str(caught.value)


def test_every_setting_is_decided_upon_in_the_table_and_the_table_has_no_others() -> None:
    keys = set(flat(config_from_dict({})))
    sections = {key.partition(".")[0] for key in keys}
    assert {key for key in keys if key not in CHANGES and key.partition(".")[0] not in CHANGES} == set()
    assert set(CHANGES) <= keys | sections
    for key in keys:
        compared = change_of(key) not in (Change.FREE, Change.BY_CONTENT)
        assert (key in SAVED) == compared, key


@pytest.mark.parametrize(
    ("change", "monitor", "other"),
    [
        ("train.monitor", "auroc", True),
        ("train.monitor", "loss", True),
        (PAIRS, "auroc", True),
        (STORE, "loss", True),
        ("train.loss", "loss", True),
        ("train.loss", "auroc", False),
        ("model.margin", "loss", True),
        ("train.epochs", "loss", False),
        ("train.learning_rate", "auroc", False),
    ],
)
def test_what_makes_the_best_validation_begin_anew(change: str, monitor: str, other: bool) -> None:
    """A loss of -0.3 never was better than an AUROC of .8: the best would have stayed the first one for ever."""
    assert other_measure(differing(SAVED, SAVED | {change: "x"}), monitor) == other
