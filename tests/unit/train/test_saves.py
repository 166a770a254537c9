"""The saves of a run that goes on from an earlier checkpoint than the newest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpc.save.checkpoint import checkpoint_name, find_checkpoint
from snw_dist.train.progress import Progress
from snw_dist.train.saved import verifier
from snw_dist.train.saves import Saves
from tests.kit.saved_tools import ALONE, EXPECTED, STATE, edit, meta, read, save


@pytest.mark.parametrize("first", [61, 76, 77])
def test_after_a_damaged_newest_one_the_saves_of_a_run_stay(tmp_path: Path, first: int) -> None:
    """By the saves of training: step 76 is nonsense, 60 is taken up, and what is saved then is not removed for 76."""
    root = tmp_path / "checkpoints"
    save(root, 60)
    edit(save(root, 76), meta(progress__step=10**9))
    if first == 77:  # nobody reads this file, and that it cannot be written ends no run
        (tmp_path / "checkpoints.json").mkdir()
    verify, template = verifier(EXPECTED), read(root / checkpoint_name(60))["meta"]
    for begun, step in [(60, first), (first, 78), (78, 79)]:
        saves = Saves(tmp_path, ALONE, lambda: None, keep_last=2, keep_every=20)
        found = find_checkpoint(root, ALONE, verify)
        assert found is not None
        assert found.step == begun
        saves.begin_from(found, verify)
        other = save(tmp_path / "other", step, 1)
        progress = Progress(step, 0.5, 30, 1)
        own = template | {"progress": vars(progress), "state": template["state"] | {"num_files": 1}}

        def write(folder: Path, other: Path = other) -> list[str]:
            (folder / STATE).write_bytes((other / STATE).read_bytes())
            return [STATE]

        saves.begin(progress, own, write, 0.0)
        assert saves.commit(0.0) is not None
    assert sorted(path.name for path in root.iterdir()) == [
        "set_aside_step_0000000076",
        *(checkpoint_name(step) for step in (60, 78, 79)),
    ]
    if first != 77:
        named = {"best": checkpoint_name(30), "last": checkpoint_name(79)}
        assert json.loads((tmp_path / "checkpoints.json").read_text()) == named
