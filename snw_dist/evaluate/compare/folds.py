"""Cross-validation: networks compared on every fold, so that what folds hold apart is new in one of them.

A single held-out split of few receptors tells little about new ones: its interval is as wide as they are few. Here all
of them are tested, each by networks that have not seen it. A figure is the mean over the folds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hpc.errors import InputError
from hpc.told import did, long_work
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.evaluate.compare.compared import Comparison
from snw_dist.evaluate.compare.runs import compare_runs, mean_of
from snw_dist.evaluate.measure.measured import Measured

CROSS_VALIDATION = "cross_validation.json"


def folds_of(config: SnwConfig) -> list[SnwConfig]:
    """A configuration for each of `data.split.folds`, named `NAME-foldN`, on the sequences and store of `config`.

    Each has data of its own, and draws of its own for the bootstrap. Raises `InputError` where there are no folds.
    """
    folds = config.data.split.folds
    if folds is None:
        raise InputError(
            "--all-folds: data.split.folds is not given. Set it to the number of folds, 3 or more, and "
            'data.split.method, to what they hold apart: data.split.method = "both_cold", for instance.'
        )
    values, folder = config_to_dict(config), config.data.folder

    def of_fold(fold: int) -> SnwConfig:
        name, seed = f"{config.run.name}-fold{fold}", config.run.seed + fold
        apart = {"fold": fold, "seed": config.split_seed}
        own = {
            "run": values["run"] | {"name": name, "seed": seed},
            "data": values["data"]
            | {"folder": folder and f"{folder}-fold{fold}", "split": values["data"]["split"] | apart},
            "store": values["store"] | {"path": str(config.store_path)},
        }
        return config_from_dict(values | own, "--all-folds")

    return [of_fold(fold) for fold in range(folds)]


def compare_folds(
    config: SnwConfig, folds: Sequence[tuple[SnwConfig, Mapping[str, Sequence[SnwConfig]]]]
) -> Comparison:
    """Compare the runs of each fold, then their means; writes `compare/cross_validation.json` in the run folder.

    Raises `InputError` when no network has a run that reached its end in every fold.
    """
    each = []
    with long_work("comparing the folds", len(folds), "folds"):
        for fold, runs in folds:
            each.append(compare_runs(fold, runs))
            did("folds")
    whole = mean_over_folds(each)
    if not whole.models:
        raise InputError(
            f"{config.run_folder}: no network has a finished run in every fold: {', '.join(whole.missing)}"
        )
    whole.write(config.run_folder / "compare" / CROSS_VALIDATION)
    return whole


def mean_over_folds(each: Sequence[Comparison]) -> Comparison:
    """The mean over the folds of what all of them have; a network that is missing in one is left out."""

    def means(of_fold: Sequence[Mapping[str, Measured]]) -> dict[str, Measured]:
        return {
            name: mean_of([found[name] for found in of_fold], "of_folds")
            for name in of_fold[0]
            if all(name in found for found in of_fold)
        }

    models = means([fold.models for fold in each])
    return Comparison(
        encoder=each[0].encoder,
        repeats=each[0].repeats,
        seed=each[0].seed,
        splits={split: _together([fold.splits[split] for fold in each]) for split in each[0].splits},
        runs={name: [run for fold in each for run in fold.runs[name]] for name in models},
        models=models,
        ensembles=means([fold.ensembles for fold in each]),
        controls=means([fold.controls for fold in each]),
        missing=[name for fold in each for name in fold.missing],
        folds=len(each),
        made_of={name: digests for fold in each for name, digests in fold.made_of.items()},
        data=[digest for fold in each for digest in fold.data],
        left_out=[left_out for fold in each for left_out in fold.left_out],
        each={name: measured for fold in each for name, measured in fold.each.items()},
        trained={name: trained for fold in each for name, trained in fold.trained.items()},
        learned_from=[learned for fold in each for learned in fold.learned_from],
    )


def _together(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What a split has in all folds."""
    sums = {name: sum(fold[name] for fold in facts) for name in ("num_pairs", "num_positive", "num_receptors")}
    return {**sums, "graded": any(fold["graded"] for fold in facts), "of_folds": list(facts)}
