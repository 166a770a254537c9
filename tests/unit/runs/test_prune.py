"""Which checkpoints of a run may go, and that nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.save.fence import Fence
from snw_dist.runs.prune import prunable, prune
from tests.kit.retention_tools import save, steps
from tests.kit.run_folders import finished_run


def test_the_newest_the_best_and_those_asked_for_stay(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", 2, 4, 5, 6, 8, best=4, keep_every=5)
    aside = save(run / "checkpoints", 3).rename(run / "checkpoints" / "set_aside_step_0000000003")
    before = set(run.rglob("*"))
    found = prunable(run)
    assert found is not None
    assert [path.name for path in found.checkpoints] == ["step_0000000002", "step_0000000006"]
    assert found.set_aside == [aside]
    sizes = [path.stat().st_size for gone in (*found.checkpoints, aside) for path in gone.rglob("*") if path.is_file()]
    assert found.num_bytes == sum(sizes)
    assert prune([found]) == 3
    assert steps(run / "checkpoints") == [4, 5, 8]
    gone = {*found.checkpoints, aside}
    assert set(run.rglob("*")) == {path for path in before if not gone & {path, *path.parents}}
    assert prunable(run) is None


@pytest.mark.parametrize("lacks", ["finished.json", "config.json", "export/model.safetensors"])
def test_a_run_that_is_not_finished_keeps_everything(tmp_path: Path, lacks: str) -> None:
    run = finished_run(tmp_path / "run", 2, 4, 6, best=4)
    (run / lacks).unlink()
    if lacks.startswith("export"):
        (run / "export").rmdir()
    assert prunable(run) is None


def test_what_a_job_has_claimed_meanwhile_is_not_touched(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", 2, 4, 6, best=4)
    found = prunable(run)
    assert found is not None
    fence = Fence(run, "7-0")
    try:
        with pytest.raises(EnvironmentProblem):
            prune([found])
    finally:
        fence.release()
    assert steps(run / "checkpoints") == [2, 4, 6]


def test_a_run_that_has_gone_on_keeps_what_it_needs_now(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run", 2, 4, 6, best=4)
    found = prunable(run)
    assert found is not None
    save(run / "checkpoints", 8)
    prune([found])
    assert steps(run / "checkpoints") == [4, 8]
