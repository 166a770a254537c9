"""Checkpoints of training whose manifest is signed and nonsense: passed over, the one before is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import CorruptError
from hpc.save.checkpoint import MANIFEST, checkpoint_name, find_checkpoint
from snw_dist.train.saved import Expected, verifier
from snw_dist.trained_run.changes import PARTS
from tests.kit.saved_tools import (
    ALONE,
    EXPECTED,
    SHAPES,
    TRAJECTORY,
    Change,
    edit,
    meta,
    passed_over,
    save,
    step_found,
    take_up,
)


@pytest.mark.parametrize("num_files", [1, 2])
def test_what_training_writes_is_taken_up(tmp_path: Path, num_files: int) -> None:
    save(tmp_path, 0, num_files)
    assert step_found(tmp_path) == 0
    save(tmp_path, 100, num_files)
    found = find_checkpoint(tmp_path, ALONE, verifier(EXPECTED))
    assert found is not None
    assert found.step == 100
    assert take_up(found).isfinite().all()


def at_step(step: int) -> Change:
    return meta(progress__step=step, progress__best_step=None, progress__best_value=None, progress__worse_in_a_row=0)


CHANGES = {
    "no meta": lambda manifest: manifest.update(meta={}),
    "another step": meta(progress__step=75),
    "step as text": meta(progress__step="76"),
    "step as a fraction": meta(progress__step=76.0),
    "step is true": meta(progress__step=True),
    "no step": meta(progress__step=...),
    "the best to come": meta(progress__best_step=77),
    "the best before all": meta(progress__best_step=-1),
    "best without a value": meta(progress__best_value=None),
    "best value as text": meta(progress__best_value="0.5"),
    "best value too large": meta(progress__best_value=10**400),
    "patience at its end": meta(progress__worse_in_a_row=10**9),
    "less than nothing worse": meta(progress__worse_in_a_row=-1),
    "unknown progress": meta(progress__more=1),
    "progress is a list": meta(progress=[76]),
    "no trajectory": meta(trajectory=...),
    "trajectory is text": meta(trajectory="siamese"),
    "a trajectory of control characters": meta(trajectory={"\x1b[2J": 1}),
    "parts as text": meta(trajectory=TRAJECTORY | {PARTS: "x"}),
    "no parts": meta(trajectory=TRAJECTORY | {PARTS: 0}),
    "more meta": meta(more=1),
    "no state": meta(state=...),
    "files as text": meta(state__num_files="2"),
    "no files": meta(state__num_files=0),
    "a billion files": meta(state__num_files=10**9),
    "one file of two": meta(state__num_files=1),
    "three files of two": meta(state__num_files=3),
    "no parameters": meta(state__parameters={}),
    "one parameter less": meta(state__parameters={name: shape for name, shape in SHAPES.items() if name != "c"}),
    "another shape": meta(state__parameters=SHAPES | {"a.weight": [3, 4]}),
    "a shape of text": meta(state__parameters=SHAPES | {"b.bias": ["7"]}),
    "a shape below zero": meta(state__parameters=SHAPES | {"d.weight": [-5, -2, 2]}),
    "an enormous shape": meta(state__parameters=SHAPES | {"b.bias": [2**48] * 8}),
    "no shape": meta(state__parameters=SHAPES | {"b.bias": None}),
    "steps of the optimiser as text": meta(state__adam_step="76"),
    "more steps of the optimiser": meta(state__adam_step=1e300),
    "half a step of the optimiser": meta(state__adam_step=75.5),
    "a scale of another kind": meta(state__loss_scale={"__class__": 1}),
    "a scale of nothing": meta(state__loss_scale={"cur_scale": 0}),
    "a scale of text": meta(state__loss_scale={"cur_scale": "1"}),
    "another world": lambda manifest: manifest.update(world_size=3),
    "a file that is not one of them": lambda manifest: manifest["files"].update(
        {"state_00001.bin": manifest["files"].pop("state_00001.safetensors")}
    ),
    "one more file": lambda manifest: manifest["files"].update({MANIFEST: {"bytes": 0, "sha256": "0" * 64}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_signed_manifest_that_cannot_be(newest: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    edit(newest, CHANGES[name])
    assert MANIFEST in passed_over(newest, caplog)


@pytest.mark.parametrize("step", [101, 10**9, 10**17])
def test_a_step_beyond_the_plan_does_not_end_the_run(newest: Path, caplog: pytest.LogCaptureFixture, step: int) -> None:
    beyond = newest.rename(newest.parent / checkpoint_name(step))
    edit(beyond, lambda manifest: (manifest.update(step=step), at_step(step)(manifest)))
    assert "of a run of 100 steps" in passed_over(beyond, caplog)


def test_other_settings_are_for_the_user_to_allow(newest: Path) -> None:
    """No damage: the run refuses it, or goes on where that is allowed."""
    longer = Expected(TRAJECTORY | {"train.epochs": 2}, 70, SHAPES)
    network = Expected(TRAJECTORY | {"model.name": "triplet"}, 70, SHAPES | {"b.bias": [8]})
    assert step_found(newest.parent, longer) == step_found(newest.parent, network) == 76


def test_a_longer_run_has_the_same_network(newest: Path) -> None:
    """Its checkpoints do: a weight that does not fit is damage, and not for the user to allow."""
    with pytest.raises(CorruptError, match=r"'b\.bias' is not as in the network"):
        step_found(newest.parent, Expected(TRAJECTORY | {"train.epochs": 4}, 400, SHAPES | {"b.bias": [8]}))
