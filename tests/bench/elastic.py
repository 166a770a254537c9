"""Resume from any number of ranks and any ZeRO stage to any other: `python -m tests.bench.elastic [--steps 20]`.

Every source trains some steps, saves, and trains on. With its further losses every target is compared, which begins
with the source's checkpoint on its own number of ranks and in its own stage. There is no dropout, because its random
numbers depend on the number of ranks. All trainings of one number of ranks share one process group, because the
start of the ranks costs more than the steps.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections import defaultdict
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
    _train({source: (config, None) for source, config in sources.items()}, folder / "sources")
    targets = {}
    for case in cases:
        config = _named(base, name_of(case), case.target, num_steps)
        if precision is not None:
            train = dataclasses.replace(config.train, precision=precision, allow_precision_change=True)
            config = dataclasses.replace(config, train=train)
        targets[case] = config, sources[case.source].run_folder / "checkpoints" / checkpoint_name(SAVED_AT)
    _train(targets, folder / "targets")
    found = {}
    for case, (config, _) in targets.items():
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


def _train(runs: dict[Any, tuple[SnwConfig, Path | None]], folder: Path) -> None:
    by_world_size: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for key, (config, begin_with) in runs.items():
        world_size = key.target.world_size if isinstance(key, Case) else key.world_size
        item = {"config": config_to_dict(config), "checkpoints": str(config.run_folder / "checkpoints")}
        by_world_size[world_size].append(item | {"begin_with": None if begin_with is None else str(begin_with)})
    for world_size, items in by_world_size.items():
        place = folder / str(world_size)
        device = "cuda" if items[0]["config"]["train"]["device"] == "cuda" else "cpu"
        timeout_s = 60.0 + 20 * len(items)
        for rank in run_ranks(
            "tests.kit.trainings:trainings", world_size, {"trainings": items}, place, timeout_s, device=device
        ):
            assert rank.returncode == 0, rank.log


def _losses(config: SnwConfig) -> dict[int, float]:
    lines = (config.run_folder / "metrics.jsonl").read_text().splitlines()
    return {r["step"]: r["loss"] for r in map(json.loads, lines) if r["kind"] == "train"}


def main() -> None:
    options = argparse.ArgumentParser(description="Loss differences after a resume, every setting to every other.")
    options.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    options.add_argument("--steps", type=int, default=20, help="steps that are compared after the resume")
    options.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    arguments = options.parse_args()
    cases = [Case(source, target) for source in EVERY for target in EVERY]
    with tempfile.TemporaryDirectory(prefix="snw-elastic-") as name:
        found = differences(embedded(Path(name), arguments.precision), cases, arguments.steps, Path(name))
    if not arguments.json:
        rows = [[setting_name(source), *(f"{found[Case(source, target)]:.0e}" for target in EVERY)] for source in EVERY]
        show("largest relative difference of the loss, from / to", ["", *map(setting_name, EVERY)], rows)
    keys = {
        "pairs": len(cases),
        "steps": arguments.steps,
        "precision": arguments.precision,
        "largest_difference": max(found.values()),
        "largest_difference_same_setting": max(found[Case(setting, setting)] for setting in EVERY),
    }
    finish(arguments.json, keys)


if __name__ == "__main__":
    main()
