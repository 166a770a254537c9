"""Resume from any number of ranks and any ZeRO stage to any other: `python -m tests.bench.elastic [--steps 20]`.

Every source trains some steps, saves, and trains on. With its further losses every target is compared, which begins
with the source's checkpoint on its own number of ranks and in its own stage. There is no dropout, because its random
numbers depend on the number of ranks. All trainings of one number of ranks share one process group, because the
start of the ranks costs more than the steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hpc.save.checkpoint import checkpoint_name
from snw_dist.config import Precision, SnwConfig, config_to_dict
from tests.bench.common import finish, show
from tests.kit.ranks import run_ranks
from tests.kit.shipped import DATA, embedded_run

WORLD_SIZES, STAGES = (1, 2, 3, 4), (0, 1, 2, 3)
SAVED_AT = 4


class Setting(NamedTuple):
    """How a training is spread over processes."""

    world_size: int
    stage: int


class Case(NamedTuple):
    """Where a training comes from and where it goes on."""

    source: Setting
    target: Setting


Run = tuple[int, SnwConfig, Path | None]
"""Its number of ranks, and the checkpoint that it begins with."""
EVERY = [Setting(world_size, stage) for world_size in WORLD_SIZES for stage in STAGES]


def embedded(folder: Path, precision: str = "fp32", dropout: float = 0.0) -> SnwConfig:
    """A small network on a part of the shipped data, and its store."""
    header, *rows = (DATA / "pairs.csv").read_text().splitlines()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pairs.csv").write_text("\n".join([header, *rows[:: len(rows) // 250]]) + "\n")
    size = {"d_model": 16, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 16}
    return embedded_run(
        folder,
        "base",
        data={"pairs": str(folder / "pairs.csv")},
        model=size | {"dropout": dropout},
        train={"global_batch_size": 30, "warmup_steps": 2, "precision": precision, "monitor": "loss"},
    )


def differences(
    base: SnwConfig, cases: Iterable[Case], num_steps: int, folder: Path, precision: Precision | None = None
) -> dict[Case, float]:
    """The largest relative difference of the loss over `num_steps` steps after the resume, for each case.

    `precision` of the targets, where it is not that of the sources.
    """
    cases = list(cases)
    sources = {case.source: _named(base, setting_name(case.source), case.source, num_steps) for case in cases}
    targets = {}
    for case in cases:
        config = _named(base, name_of(case), case.target, num_steps)
        if precision is not None:
            train = dataclasses.replace(config.train, precision=precision, allow_precision_change=True)
            config = dataclasses.replace(config, train=train)
        targets[case] = config
    # The most ranks last and first: sources and targets of that number share their start.
    runs = [(at.world_size, config, None) for at, config in sorted(sources.items())]
    for case, config in sorted(targets.items(), key=lambda item: -item[0].target.world_size):
        saved = sources[case.source].run_folder / "checkpoints" / checkpoint_name(SAVED_AT)
        runs.append((case.target.world_size, config, saved))
    _train(runs, folder)
    found = {}
    for case, config in targets.items():
        expected, actual = _losses(sources[case.source]), _losses(config)
        assert sorted(actual) == list(range(SAVED_AT + 1, SAVED_AT + num_steps + 1)), config.run.name
        found[case] = max(abs(actual[step] - expected[step]) / abs(expected[step]) for step in actual)
    return found


def name_of(case: Case) -> str:
    """Of the run that goes on in the target."""
    return f"{setting_name(case.source)}-{setting_name(case.target)}"


def setting_name(setting: Setting) -> str:
    """Of the run that goes on undisturbed."""
    return f"w{setting.world_size}z{setting.stage}"


def _named(base: SnwConfig, name: str, setting: Setting, num_steps: int) -> SnwConfig:
    train = dataclasses.replace(base.train, zero_stage=setting.stage, max_steps=SAVED_AT + num_steps)
    train = dataclasses.replace(train, save_every=SAVED_AT, keep_last=num_steps, validate_every=10**6)
    data = dataclasses.replace(base.data, folder=str(base.data_folder))
    return dataclasses.replace(base, run=dataclasses.replace(base.run, name=name), train=train, data=data)


def _train(runs: Iterable[Run], folder: Path) -> None:
    """In this order; neighbours of one number of ranks share their start."""
    for number, (world_size, group) in enumerate(itertools.groupby(runs, key=lambda run: run[0])):
        items: list[dict[str, Any]] = []
        for _, config, begin_with in group:
            checkpoints, first = str(config.run_folder / "checkpoints"), None if begin_with is None else str(begin_with)
            items.append({"config": config_to_dict(config), "checkpoints": checkpoints, "begin_with": first})
        device = "cuda" if items[0]["config"]["train"]["device"] == "cuda" else "cpu"
        place, timeout_s = folder / f"{number}-of-{world_size}", 60.0 + 20 * len(items)
        values, job = {"trainings": items}, "tests.kit.trainings:trainings"
        for rank in run_ranks(job, world_size, values, place, timeout_s, device=device):
            assert rank.returncode == 0, rank.log


def _losses(config: SnwConfig) -> dict[int, float]:
    lines = (config.run_folder / "metrics.jsonl").read_text().splitlines()
    return {r["step"]: r["loss"] for r in map(json.loads, lines) if r["kind"] == "train"}


def main() -> None:
    options = argparse.ArgumentParser(description="Loss differences after a resume, every setting to every other.")
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options.add_argument("--steps", type=int, default=20, help="steps that are compared after the resume")
    options.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32")
    options.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="one rank alone on cuda")
    arguments = options.parse_args()
    every = EVERY if arguments.device == "cpu" else [setting for setting in EVERY if setting.world_size == 1]
    cases = [Case(source, target) for source in every for target in every]
    with tempfile.TemporaryDirectory(prefix="snw-elastic-") as name:
        base = embedded(Path(name), arguments.precision)
        base = dataclasses.replace(base, train=dataclasses.replace(base.train, device=arguments.device))
        found = differences(base, cases, arguments.steps, Path(name))
    if not arguments.json:
        rows = [[setting_name(source), *(f"{found[Case(source, target)]:.0e}" for target in every)] for source in every]
        show("largest relative difference of the loss, from / to", ["", *map(setting_name, every)], rows)
    keys = {
        "pairs": len(cases),
        "steps": arguments.steps,
        "precision": arguments.precision,
        "largest_difference": max(found.values()),
        "largest_difference_same_setting": max(found[Case(setting, setting)] for setting in every),
    }
    finish(arguments.json, keys)


if __name__ == "__main__":
    main()
