"""Small checkpoints, and what training does with them, in one process."""

from __future__ import annotations

from pathlib import Path

from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import find_checkpoint, step_of
from hpc.save.checkpoint_names import place_of
from hpc.save.retention import Retention
from hpc.save.saving import save_checkpoint
from tests.kit.ranks import names

ALONE = Communicator.alone()


def save(root: Path, step: int) -> Path:
    def write(folder: Path) -> list[str]:
        (folder / "nested").mkdir()
        for name in ("nested/a", "b"):
            (folder / name).write_text(f"{name} of step {step}" * 50)
        return ["nested/a", "b"]

    return save_checkpoint(root, step, {"position": step}, write, ALONE)


def flip(path: Path) -> None:
    data = bytearray((path / "b").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "b").write_bytes(data)


class Run:
    """What training does with its checkpoints, in one process."""

    def __init__(self, root: Path, keep_last: int = 2) -> None:
        self.root = root
        found = find_checkpoint(root, ALONE)
        self.begun = 0 if found is None else found.step
        self.retention = Retention(root, keep_last)
        self.retention.begin_from(found)

    def save(self, *steps: int, pinned: int = -1) -> None:
        for step in steps:
            self.retention.after(save(self.root, step), lambda step: step == pinned)


def steps(root: Path) -> list[int]:
    return [step_of(path) for path in sorted(root.iterdir()) if place_of(path.name)]


def set_aside_in(root: Path) -> list[str]:
    return [name for name in names(root) if name.startswith("set_aside_")]
