"""A run that is trained within seconds: 20 ligands, 6 receptors, 120 pairs, a made-up store, one rank."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.config_file import load_config
from snw_dist.data.ensure import ensure_prepared
from tests.kit.ranks import REPOSITORY, Finished, run_ranks
from tests.kit.train_tools import stored
from tests.kit.trainings import TRAINING

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
SPLIT = {"method": "random", "clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2}
MODEL = {"name": "siamese", "size": "light", "d_model": 16, "num_pooling_queries": 4, "dropout": 0.0}
TRAIN = {"max_steps": 4, "validate_every": 2, "save_every": 2, "warmup_steps": 1, "global_batch_size": 32}


def write_project(folder: Path, store: bool = True, **sections: Any) -> None:
    """The three input files, `SNW_config.json` and a store; `sections` replace those of the configuration."""
    draw = np.random.default_rng(5)

    def sequences(count: int, length: int) -> list[str]:
        return ["".join(draw.choice(LETTERS, length)) for _ in range(count)]

    tables = {"ligand": sequences(20, 8), "receptor": sequences(6, 12)}
    for side, rows in tables.items():
        text = "".join(f">{side[0]}{i}\n{sequence}\n" for i, sequence in enumerate(rows))
        (folder / f"{side}s.fasta").write_text(text)
    lines = ["ligand_id,receptor_id,label,other,note"]
    for ligand in range(20):
        for receptor in range(6):
            first, second = draw.random(2).round(3)
            lines.append(f"l{ligand},r{receptor},{first},{second},n")
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    config: dict[str, Any] = {
        "run": {"name": "tiny"},
        "data": {"split": SPLIT},
        "store": {"path": "store.zarr", "dtype": "float32"},
        "model": MODEL,
        "train": TRAIN,
        "evaluate": {"bootstrap": 20, "controls": ["degree"]},
        "cluster": {"cluster": "local"},
    }
    (folder / "SNW_config.json").write_text(json.dumps(config | sections))
    if store:
        stored(folder / "store.zarr", [*tables["ligand"], *tables["receptor"]])


def configured(folder: Path, **overrides: Any) -> SnwConfig:
    """The configuration of the project; overrides have `__` for the dots, such as `data__split__seed=2`."""
    return load_config(folder / "SNW_config.json", {key.replace("__", "."): v for key, v in overrides.items()})


def trained(config: SnwConfig, log: Path) -> Finished:
    """Prepare the run where need be and train it with one rank: how that ended."""
    ensure_prepared(config)
    return trained_as_it_is(config, log)


def trained_as_it_is(config: SnwConfig, log: Path) -> Finished:
    """The job alone, without the checks that the command makes first."""
    [rank] = run_ranks(TRAINING, 1, config_to_dict(config), log)
    return rank


def launched(folder: Path, launcher: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command as a user starts it."""
    command = [sys.executable, str(REPOSITORY / "launch" / f"{launcher}.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder but those that every start leaves."""
    own = {"attempt.json", ".attempt.claims", "jobs", "logs", "progress"}
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (folder / path).read_bytes() for path in paths if not own & set(path.parts)}
