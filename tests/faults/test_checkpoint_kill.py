"""SIGKILL at random instants of a loop that does little else than save; the short form runs by default."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import committed_checkpoints, find_checkpoint
from hpc.save.fence import Fence
from hpc.save.saving import save_checkpoint
from tests.kit.jobs import payload
from tests.kit.ranks import names, start_ranks

pytestmark = pytest.mark.faults
NUM_KILLS = int(os.environ.get("SNW_FAULT_REPEATS", "12"))
SIZE = 100_000
KEPT = 2


def noted(job_folder: Path) -> int:
    """The last step that rank 0 knows to be committed."""
    file = job_folder / "committed-rank0.json"
    return int(json.loads(file.read_text())) if file.exists() else 0


def check(root: Path, at_least: int) -> int:
    """What a new start finds is whole, and nothing that was committed is lost."""
    found = find_checkpoint(root, Communicator.alone())
    if found is None:
        assert at_least == 0
        return 0
    assert at_least <= found.step <= at_least + 1
    assert found.meta == {"position": found.step}
    for rank in range(2):
        assert (found.path / f"nested/rank{rank}.bin").read_bytes() == payload(found.step, rank, SIZE)
    return found.step


@pytest.mark.timeout(60 + 20 * NUM_KILLS)
@pytest.mark.parametrize("seed", range(2))
def test_killed_while_saving(tmp_path: Path, seed: int) -> None:
    chance, root, before, in_a_save = random.Random(seed), tmp_path / "run" / "checkpoints", 0, 0
    for attempt in range(max(1, NUM_KILLS // 2)):
        folder = tmp_path / f"attempt{attempt}"
        config = {"root": str(root), "size": SIZE, "num_steps": 10**6}
        with start_ranks("saves", 2, config, folder) as ranks:
            ranks.wait_for_files("resumed-rank0.json", "resumed-rank1.json")
            # Now and then inside the very first save, which follows the resume at once.
            if chance.random() < 0.7:
                ranks.wait_for_files("committed-rank0.json")
            time.sleep(chance.uniform(0.0, 0.1))
            ranks.send(signal.SIGKILL)
            codes = [rank.returncode for rank in ranks.finish()]
        assert codes == [-signal.SIGKILL, -signal.SIGKILL], ranks.logs()
        resumed = json.loads((folder / "job" / "resumed-rank0.json").read_text()) or 0
        assert resumed == before
        in_a_save += any(name.startswith(".step_") for name in names(root)) if root.exists() else 0
        before = check(root, max(noted(folder / "job"), resumed))
        # Never more than those to keep, the one not yet pruned and the leftovers of one kill.
        assert len(names(root) if root.exists() else []) <= KEPT + 3
    assert before > 0
    assert in_a_save > 0 or NUM_KILLS < 12

    for step in (before, before + 1):  # the very step whose save was cut short
        save_checkpoint(root, step, {"position": step}, write, Communicator.alone())
        assert check(root, step) == step
    assert names(root) == [path.name for path in committed_checkpoints(root)]


def write(folder: Path) -> list[str]:
    (folder / "nested").mkdir()
    step = int(folder.name.split(".")[1].removeprefix("step_"))
    for rank in range(2):
        (folder / f"nested/rank{rank}.bin").write_bytes(payload(step, rank, SIZE))
    return [f"nested/rank{rank}.bin" for rank in range(2)]


def test_one_rank_killed_while_saving(tmp_path: Path) -> None:
    """The other rank must not commit without it, nor wait for it."""
    root, before = tmp_path / "run" / "checkpoints", 0
    for victim in (0, 1):
        folder = tmp_path / f"victim{victim}"
        with start_ranks("saves", 2, {"root": str(root), "size": SIZE, "num_steps": 10**6}, folder) as ranks:
            ranks.wait_for_files("committed-rank0.json")
            ranks.send(signal.SIGKILL, victim)
            other = ranks.finish(60)[1 - victim]
        assert other.returncode not in (0, -signal.SIGKILL), other.log
        before = check(root, max(noted(folder / "job"), before))
    assert before > 0


def test_a_stale_attempt_ends_without_committing(tmp_path: Path) -> None:
    """A requeued job has begun while the old processes still live: they end with 4 and leave the folder alone."""
    root = tmp_path / "run" / "checkpoints"
    config = {"root": str(root), "size": SIZE, "num_steps": 10**6, "attempt": "41-0"}
    with start_ranks("saves", 2, config, tmp_path) as ranks:
        ranks.wait_for_files("committed-rank0.json")
        successor = Fence(root.parent, "41-1")
        done = ranks.finish(60)
    assert [rank.returncode for rank in done] == [4, 4], ranks.logs()
    assert all("attempt 41-0 was superseded by attempt 41-1" in rank.outcome["message"] for rank in done)
    successor.check()
    check(root, noted(tmp_path / "job"))
    assert not [name for name in names(root) if name.startswith(".")]


def test_resume_after_the_newest_was_damaged(tmp_path: Path) -> None:
    root = tmp_path / "run" / "checkpoints"
    for attempt, (num_steps, resumed) in enumerate([(4, None), (6, 3)]):
        folder = tmp_path / f"attempt{attempt}"
        with start_ranks("saves", 2, {"root": str(root), "size": SIZE, "num_steps": num_steps}, folder) as ranks:
            done = ranks.finish()
        assert [rank.returncode for rank in done] == [0, 0], ranks.logs()
        assert json.loads((folder / "job" / "resumed-rank1.json").read_text()) == resumed
        assert check(root, num_steps) == num_steps
        file = committed_checkpoints(root)[-1] / "nested" / "rank1.bin"
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
    (committed_checkpoints(root)[0] / "nested" / "rank0.bin").unlink()
    with start_ranks("saves", 2, {"root": str(root), "size": SIZE, "num_steps": 9}, tmp_path / "last") as ranks:
        done = ranks.finish()
    assert [rank.returncode for rank in done] == [3, 3], ranks.logs()
    assert all("none of 2 checkpoints verifies" in rank.outcome["message"] for rank in done)
