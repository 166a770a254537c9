"""Checkpoints of four small files, saved and found by one process."""

from pathlib import Path
from typing import Any

from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import Checkpoint, find_checkpoint
from hpc.save.saving import save_checkpoint

ALONE = Communicator.alone()
FILES = ("model.bin", "nested/deep/optimizer.bin", "empty", "größe é.txt")


def save(root: Path, step: int, text: str = "", **options: Any) -> Path:
    def write(folder: Path) -> tuple[str, ...]:
        (folder / FILES[1]).parent.mkdir(parents=True)
        for name in FILES:
            content = b"" if name == "empty" else f"{step} {name} {text}".encode() * 20
            (folder / name).write_bytes(content)
        return FILES

    return save_checkpoint(root, step, {"loss": 0.1 + step, "rate": 1e-9, 10: "ä", 9: None}, write, ALONE, **options)


def find(root: Path) -> Checkpoint | None:
    return find_checkpoint(root, ALONE)


def step_found(root: Path) -> int:
    found = find(root)
    assert found is not None
    return found.step
