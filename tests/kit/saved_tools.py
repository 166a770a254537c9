"""Checkpoints of a small training state, written by two ranks as training writes them; and what reads them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hpc.errors import CorruptError
from hpc.ranks.communicator import Communicator
from hpc.save.checkpoint import MANIFEST, Checkpoint, checkpoint_name, find_checkpoint, manifest_digest
from hpc.save.saving import save_checkpoint
from snw_dist.train.portable import Piece, read_into, restore_random_state, snapshot, write_snapshot
from snw_dist.train.progress import Progress
from snw_dist.train.saved import Expected, verifier
from snw_dist.trained_run.resumable import check_resumable
from tests.kit.harm import little_memory

ALONE = Communicator.alone()
SHAPES = {"a.weight": [4, 3], "b.bias": [7], "c": [], "d.weight": [5, 2, 2]}
TRAJECTORY = {"train.epochs": 3, "model.name": "siamese", "train.precision": "fp32", "input pairs": "ab" * 32}
EXPECTED = Expected(TRAJECTORY, 100, SHAPES)
RANKS = 2
Parts = list[tuple[str, int, int]]


def elements(name: str) -> int:
    return int(torch.zeros(SHAPES[name]).numel())


def parts(rank: int) -> Parts:
    """Every parameter cut in two."""
    halves = [(name, elements(name) // 2, elements(name)) for name in SHAPES]
    return [(name, middle * rank, end - middle if rank else middle) for name, middle, end in halves]


def state(own: Parts, step: int) -> tuple[list[Piece], torch.optim.Optimizer]:
    """Weights and moments that tell of their step and place."""
    owner = torch.zeros(sum(count for *_, count in own) + 3, requires_grad=True)
    adam = torch.optim.AdamW([owner])
    adam.state[owner] = {"step": torch.tensor(float(step)), "exp_avg": owner * 2, "exp_avg_sq": owner * 3}
    adam.state[owner] = {key: value.detach().clone() for key, value in adam.state[owner].items()}
    pieces, offset = [], 0
    for name, start, count in own:
        pieces.append(Piece(name, start, count, owner, offset))
        first = 100 * list(SHAPES).index(name) + start
        values = torch.arange(first, first + count, dtype=torch.float32) + step / 1000
        owner.detach()[offset : offset + count] = values
        for kind, factor in (("exp_avg", 2), ("exp_avg_sq", 3)):
            adam.state[owner][kind][offset : offset + count] = values * factor
        offset += count
    return pieces, adam


def save(root: Path, step: int, num_files: int = RANKS) -> Path:
    """By one process, which writes the files of all ranks."""
    meta = {
        "progress": dataclasses.asdict(Progress(step, 0.5, step // 2 or None, 1) if step > 1 else Progress(step)),
        "trajectory": TRAJECTORY,
        "provenance": {"ranks": num_files},
        "state": {"num_files": num_files, "parameters": SHAPES, "adam_step": float(step), "loss_scale": None},
    }

    def write(folder: Path) -> list[str]:
        own = [parts(rank) for rank in range(2)] if num_files == 2 else [[*parts(0), *parts(1)]]
        return [
            name
            for rank in range(num_files)
            for name in write_snapshot(folder, rank, snapshot(*state(own[rank], step)))
        ]

    path = save_checkpoint(root, step, meta, write, ALONE)
    edit(path, lambda manifest: manifest.update(world_size=num_files))
    return path


def read(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
    return manifest


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = read(path)
    change(manifest)
    sign(path, manifest)


def sign(path: Path, manifest: dict[str, Any]) -> None:
    """Write a manifest with a digest that is right, and with the digests of the files as they are now."""
    manifest = {key: value for key, value in manifest.items() if key != "sha256"}
    text = json.dumps(manifest | {"sha256": manifest_digest(manifest)})
    (path / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))


def write_file(path: Path, name: str, data: bytes) -> None:
    """Put other content into a file and sign it."""
    (path / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(path, lambda manifest: manifest["files"].update({name: entry}))


def header_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(header: Any, rest: bytes) -> bytes:
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return len(text).to_bytes(8, "little") + text + rest


def take_up(found: Checkpoint) -> torch.Tensor:
    """All that a resumed run does with a checkpoint that it has found; the masters: [elements]."""
    meta = found.meta
    check_resumable(meta["trajectory"], EXPECTED.trajectory, True, True, 20, lambda: "other pairs")
    own = [(name, 0, elements(name)) for name in SHAPES]
    pieces, adam = state(own, 0)
    with torch.no_grad():
        pieces[0].owner.fill_(float("nan"))
    num_files = meta["state"]["num_files"]
    read_into(found.path, num_files, pieces, adam, meta["state"]["adam_step"])
    for rank in range(num_files):
        restore_random_state(found.path, num_files, rank, num_files, 1, found.step)
    progress = Progress(**meta["progress"])
    assert progress.step == found.step <= EXPECTED.num_steps or meta["trajectory"] != EXPECTED.trajectory
    masters = torch.cat([piece.view(piece.owner) for piece in pieces])
    return masters.clone()


STATE = "state_00000.safetensors"
Change = Callable[[dict[str, Any]], object]


def step_found(root: Path, expected: Expected = EXPECTED) -> int:
    with little_memory():
        found = find_checkpoint(root, ALONE, verifier(expected))
    assert found is not None
    return found.step


def passed_over(newest: Path, caplog: pytest.LogCaptureFixture) -> str:
    assert step_found(newest.parent) == 60
    [line] = [record.message for record in caplog.records if "checkpoint skipped" in record.message]
    assert len(line.splitlines()) == 1
    assert len(line) < 1200
    shutil.rmtree(newest.parent / checkpoint_name(60))
    with pytest.raises(CorruptError, match="none of 1 checkpoints verifies"):
        find_checkpoint(newest.parent, ALONE, verifier(EXPECTED))
    return line


def meta(**changes: Any) -> Change:
    """`progress__step=3` is the step in the progress."""

    def change(manifest: dict[str, Any]) -> None:
        for key, value in changes.items():
            inner = manifest["meta"]
            *folders, last = key.split("__")
            for folder in folders:
                inner = inner[folder]
            if value is ...:
                del inner[last]
            else:
                inner[last] = value

    return change
