"""Screens of a tiny bundle, done by this process as the tasks of an array would do them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from hpc.disk.files import file_digest
from hpc.job.runtime import Runtime
from hpc.progress import ProgressFile
from hpc.ranks.communicator import Communicator
from snw_dist.data.files.fasta import read_fasta
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.asked import Asked, prepared_screen
from snw_dist.screen.run import run_screen
from tests.kit.tiny import LETTERS

SMALL: dict[str, Any] = {"block_residues": 60, "unit_pairs": 40, "device": "cpu"}
"""Units of work so small that a tiny screen has many."""


class Guard:
    """In place of the guard of a job: asks to stop once it was asked for the n-th time whether to."""

    def __init__(self, stop_at: float = np.inf) -> None:
        self._left = stop_at

    @property
    def requested(self) -> bool:
        return self._left <= 0

    def mark_boundary(self) -> None:
        self._left -= 1


def runtime_of(folder: Path, task: int = 0, tasks: int = 1, stop_at: float = np.inf) -> Runtime:
    """One rank, the task of an array."""
    folder.mkdir(parents=True, exist_ok=True)
    fields: dict[str, Any] = {"topology": SimpleNamespace(rank=0), "comm": Communicator.alone(), "job_folder": folder}
    fields |= {"guard": Guard(stop_at), "progress": ProgressFile(folder / "progress", 0), "attempt": f"{task}-0"}
    fields |= {"device": torch.device("cpu"), "mpi": False, "array_task": task, "num_array_tasks": tasks}
    return cast(Runtime, Runtime(**fields))


def write_library(file: Path, lengths: dict[int, int], seed: int, more: str = "") -> list[str]:
    """A FASTA file with so many random sequences of each length, in mixed order, and more text."""
    draw = np.random.default_rng(seed)
    sequences = ["".join(draw.choice(LETTERS, length)) for length, count in lengths.items() for _ in range(count)]
    draw.shuffle(sequences)
    file.write_text("".join(f">{file.stem}{i}\n{one}\n" for i, one in enumerate(sequences)) + more)
    return sequences


def screened(asked: Asked, tasks: int = 1, before: Callable[[Path], None] = lambda folder: None) -> Path:
    """The folder of a screen that is done by so many tasks, one after another."""
    plan = prepared_screen(asked)
    assert plan is not None
    before(asked.to)
    for task in range(tasks):
        runtime = runtime_of(asked.to.parent / f"{asked.to.name}-jobs" / str(task), task, tasks)
        run_screen({"to": str(asked.to), "plan": plan.digest}, runtime)
    return asked.to


def result_of(folder: Path) -> dict[str, str]:
    """Digest of every file of the result."""
    names = ("hits", "csv", "result.json", "rejects.csv")
    files = [p for name in names for p in [folder / name, *(folder / name).rglob("*")] if p.is_file()]
    return {str(p.relative_to(folder)): file_digest(p) for p in sorted(files)}


def sequences_of(file: Path) -> dict[str, str]:
    return {record.id: record.sequence.upper() for record in read_fasta(file)}


def every_score(asked: Asked) -> pd.DataFrame:
    """All pairs with the scores of `predict`, in the order of a list: score, then length and letters of the ligand."""
    ligands, receptors = sequences_of(asked.ligands), sequences_of(asked.receptors)
    rows = [(one, to, ligands[one], receptors[to]) for to in receptors for one in ligands]
    frame = pd.DataFrame(rows, columns=["ligand", "receptor", "ligand_sequence", "receptor_sequence"])
    scorer = PairScorer.load(asked.bundle, device="cpu")
    frame["snw_score"] = scorer.score(frame["ligand_sequence"].tolist(), frame["receptor_sequence"].tolist()).score
    frame["length"] = frame["ligand_sequence"].str.len()
    order = ["snw_score", "length", "ligand_sequence"]
    return frame.sort_values(order, ascending=[False, True, True], kind="stable").drop(columns="length")


def hits_of(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(file) for file in sorted((folder / "hits").glob("*.parquet"))])
