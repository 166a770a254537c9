"""Bundles of every network, however it was trained, scored elsewhere: `python -m tests.bench.bundles`.

Every network, with ESM C frozen, with low-rank updates of it and with all of it, in fp32 and in bf16, from ZeRO 0 and
3: two ranks take a few steps on made-up data, `evaluate` measures them, and a bundle is made. Then run folders and
store are removed, and a fresh process loads the bundles from another folder and scores the held-out pairs. The table
has the largest difference of a score from that of the evaluation; 0 means the same bits.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_args
from unittest.mock import patch

import numpy as np
import pandas as pd

from snw_dist import PairScorer
from snw_dist.config import ModelName, SnwConfig, config_to_dict
from snw_dist.evaluate import report
from snw_dist.evaluate.run import evaluate_run
from tests.bench.common import finish, say, show
from tests.kit.bundle_tools import bundled, embedded_project, measured_pairs, with_model
from tests.kit.ranks import REPOSITORY, run_ranks

NETWORKS, MODES, PRECISIONS, STAGES = get_args(ModelName), ("frozen", "lora", "full"), ("fp32", "bf16"), (0, 3)
STEPS = 4


class Cell(NamedTuple):
    """One way to a trained network."""

    mode: str
    precision: str
    stage: int
    network: str

    @property
    def name(self) -> str:
        """Of its run, and of its bundle."""
        return f"{self.network}-{self.mode}-{self.precision}-z{self.stage}"


EVERY = [Cell(*values) for values in itertools.product(MODES, PRECISIONS, STAGES, NETWORKS)]


def differences(cells: Iterable[Cell], folder: Path) -> dict[Cell, float]:
    """The largest difference of a score of the loaded bundle from that of the evaluation; 0.0: all bits are the same.

    `folder`: an empty one. Raises `AssertionError` where a training or the loading process ends badly.
    """
    cells, elsewhere, project = sorted(cells), folder / "elsewhere", folder / "project"
    elsewhere.mkdir(parents=True)
    project.mkdir()
    train: dict[str, Any] = {"max_steps": STEPS, "validate_every": 2, "save_every": 2, "warmup_steps": 1}
    base = embedded_project(project, "float32", **with_model("siamese", **train, global_batch_size=32))
    for number, (_, group) in enumerate(itertools.groupby(cells, key=lambda cell: cell[:3])):
        runs = [_named(base, cell) for cell in group]
        _train(runs, folder / f"job{number}")
        for run in runs:
            _hand_on(run, elsewhere / run.run.name)
            say(f"{run.run.name}: trained, measured, made a bundle")
    shutil.rmtree(project)
    command = [sys.executable, "-m", "tests.bench.bundles", "--score", str(elsewhere)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {cell: _difference(elsewhere / cell.name) for cell in cells}


def _named(base: SnwConfig, cell: Cell) -> SnwConfig:
    train = dataclasses.asdict(base.train) | {"zero_stage": cell.stage}
    train |= {"encoder_mode": cell.mode, "precision": cell.precision}
    return dataclasses.replace(
        base,
        run=dataclasses.replace(base.run, name=cell.name),
        data=dataclasses.replace(base.data, folder=str(base.data_folder)),
        model=dataclasses.replace(base.model, name=cell.network),
        train=type(base.train)(**train),
    )


def _train(runs: list[SnwConfig], folder: Path) -> None:
    """By the training job, in one process group: the start of the ranks costs more than the steps."""
    items = [
        {"config": config_to_dict(run), "checkpoints": str(run.run_folder / "checkpoints"), "begin_with": None}
        for run in runs
    ]
    job, timeout_s = "tests.kit.trainings:trainings", 90.0 + 30 * len(items)
    for rank in run_ranks(job, 2, {"trainings": items}, folder, timeout_s):
        assert rank.returncode == 0, rank.log


def _hand_on(run: SnwConfig, target: Path) -> None:
    """The bundle at `target`, and beside it what `evaluate` gave the held-out pairs."""
    with patch.object(report, "_pictures", lambda *_: {}):
        evaluate_run(run)
    bundled(run, run.run_folder / "bundle")
    shutil.move(run.run_folder / "bundle", target)
    measured_pairs(run)[["ligand", "receptor", "score"]].to_parquet(target.with_suffix(".parquet"))


def score_all(folder: Path) -> None:
    """What a fresh process does: a column `found` for each table beside a bundle, by that bundle alone."""
    for file in sorted(folder.glob("*.parquet")):
        table, scorer = pd.read_parquet(file), PairScorer.load(file.with_suffix(""), device="cpu")
        [member] = scorer.bundle.says.members.values()
        assert member.step > 0
        scores = scorer.score(table["ligand"].tolist(), table["receptor"].tolist()).score
        table.assign(found=scores).to_parquet(file)


def _difference(bundle: Path) -> float:
    table = pd.read_parquet(bundle.with_suffix(".parquet"))
    return float(np.abs(table["found"].to_numpy() - table["score"].to_numpy()).max())


def main() -> None:
    options = argparse.ArgumentParser(description="Scores of bundles, elsewhere, against those of the evaluation.")
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options.add_argument("--score", type=Path, metavar="FOLDER", help="only score the bundles of this folder")
    arguments = options.parse_args()
    if arguments.score is not None:
        score_all(arguments.score)
        return
    with tempfile.TemporaryDirectory(prefix="snw-bundles-") as name:
        found = differences(EVERY, Path(name))
    if not arguments.json:
        ways = list(itertools.product(PRECISIONS, STAGES))
        rows = [
            [network, mode, *(f"{found[Cell(mode, *way, network)]:.1g}" for way in ways)]
            for network, mode in itertools.product(NETWORKS, MODES)
        ]
        names = [f"{precision}, ZeRO {stage}" for precision, stage in ways]
        show("largest difference of a score", ["network", "ESM C", *names], rows)
    keys = {"bundles": len(found), "same_bits": sum(not value for value in found.values())}
    finish(arguments.json, keys | {"largest_difference": max(found.values())})


if __name__ == "__main__":
    main()
