"""Several networks on the same data, split and seeds: one run for each, then one table with the controls.

The controls that need no network are computed once. Over several seeds a network's figures are means; their interval
is that of the mean, because all runs are resampled by the same draws. Runs are also measured together, by the mean of
their calibrated probabilities: an ensemble (Lakshminarayanan et al. 2017), which depends less on chance than each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from hpc.disk.folder import new_folder
from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.trained import data_digest, rows_of
from snw_dist.evaluate.compare.compared import Comparison
from snw_dist.evaluate.controls.controls import chosen_controls, data_controls
from snw_dist.evaluate.measurable import without_repeats
from snw_dist.evaluate.measure.held_out import TRAIN, pairs_of
from snw_dist.evaluate.measure.measured import DECISIVE, Measured, describe, measure_scores, parts_of
from snw_dist.evaluate.predictions import write_predictions
from snw_dist.evaluate.run import score_run
from snw_dist.metrics.bootstrap import interval
from snw_dist.trained_run.folder import read_finished
from snw_dist.trained_run.lineage import Lineage
from snw_dist.trained_run.resumable import refuse_another_run

COMPARISON = "comparison.json"
_FILES = (COMPARISON, "ensemble_*")
"""What a comparison writes into its folder, which appears at once."""


def variants(config: SnwConfig, models: Sequence[str], seeds: Sequence[int]) -> dict[str, list[SnwConfig]]:
    """For each network its runs, one a seed, on the data, split and store of `config`'s own run.

    Raises `InputError` for no or repeated models or seeds, and for a network that does not exist.
    """
    for name, given in (("--models", models), ("--seeds", seeds)):
        if not given or len(set(given)) < len(given):
            listed = ", ".join(map(str, given)) or "none"
            raise InputError(f"{name}: give at least one, and none twice (got {listed})")
    values = config_to_dict(config)
    values["store"]["path"], values["data"]["folder"] = str(config.store_path), str(config.data_folder)
    values["data"]["split"]["seed"] = config.split_seed

    def variant(model: str, seed: int) -> SnwConfig:
        run = values["run"] | {"name": f"{config.run.name}-{model}-{seed}", "seed": seed}
        return config_from_dict(values | {"run": run, "model": values["model"] | {"name": model}}, "--models")

    return {model: [variant(model, seed) for seed in seeds] for model in models}


def compare_runs(config: SnwConfig, runs: Mapping[str, Sequence[SnwConfig]]) -> Comparison:
    """Evaluate the finished runs; writes `comparison.json` into `compare/` of the run folder.

    The scores of each ensemble (see `ensembles_of`) are beside it as `ensemble_NAME.csv` and `.parquet`. Runs that did
    not reach their end are listed under `missing`. An earlier comparison stays whole until this one is. Raises
    `InputError` when none did, and for a run of other settings, or one that was trained on other data, see
    `measurable`.
    """
    section, prepared, folder = config.evaluate, load_prepared(config.data_folder), config.run_folder / "compare"
    digest = data_digest(rows_of(prepared))
    finished = {m: [run for run in group if _is_finished(run, prepared)] for m, group in runs.items()}
    missing = [run.run.name for m, group in runs.items() for run in group if run not in finished[m]]
    if not any(finished.values()):
        raise InputError(f"{config.run_folder}: none of the runs has reached its end: {', '.join(missing)}")
    usable, left_out = without_repeats(prepared)
    pairs, names = pairs_of(usable), chosen_controls(section.controls)
    held_out = pairs[pairs["split"] != TRAIN].reset_index(drop=True)
    parts = parts_of(held_out, section.bootstrap, config.run.seed, prepared.symmetric)
    learned = data_controls(pairs, names, prepared.symmetric)
    controls: dict[str, Measured] = {
        name: measure_scores(held_out, parts, control.scores, config.run.seed, name)
        for name, control in learned.items()
    }
    measured: dict[str, list[Measured]] = {}
    encoder, made_of, trained = "", {}, {}
    for model, group in finished.items():
        for run in group:
            scored = score_run(run, prepared, [])
            if len(scored.scores) != len(held_out):
                raise InputError(
                    f"{run.run_folder}: {len(held_out) - len(scored.scores):,} of the pairs that the networks are "
                    "compared on were trained on, or the weights chosen by. Train it under a new run.name, or leave "
                    "it out."
                )
            encoder, made_of[run.run.name] = str(scored.description["encoder"]["description"]), scored.made_of
            trained[run.run.name] = scored.trained
            of_run = measure_scores(held_out, parts, scored.scores, config.run.seed, run.run.name)
            measured.setdefault(model, []).append(of_run)
    ensembles, tables = {}, {}
    for name, members in ensembles_of(measured).items():
        scores = np.mean([member.probability for member in members], axis=0)
        ensembles[name] = measure_scores(held_out, parts, scores, config.run.seed, f"ensemble {name}")
        tables[f"ensemble_{name}"] = held_out.assign(score=scores, probability=ensembles[name].probability)
    comparison = Comparison(
        encoder=encoder,
        repeats=section.bootstrap,
        seed=config.run.seed,
        splits=describe(held_out, parts),
        runs={model: [run.run.name for run in finished[model]] for model in measured},
        models={model: mean_of(group, "of_runs") for model, group in measured.items()},
        ensembles=ensembles,
        controls=controls,
        missing=missing,
        made_of=made_of,
        data=[digest],
        left_out=[left_out],
        trained=trained,
        learned_from=[{name: control.plain() for name, control in learned.items()}],
    )
    with new_folder(folder, ours=_FILES) as fresh:
        for name, table in tables.items():
            write_predictions(fresh, name, table)
        comparison.write(fresh / COMPARISON)
    return comparison


def _is_finished(run: SnwConfig, prepared: Prepared) -> bool:
    """Whether the run reached its end; raises `InputError` when what has ended is another run than `run` describes.

    Where `run` is allowed to go on with other settings, it has not reached the end of these.
    """
    finished = read_finished(run.run_folder)
    if finished is None or not finished.trajectory:
        return finished is not None
    lineage, provenance = Lineage.of(prepared, run.run_folder), {"trained_on": finished.trained_on}
    return not refuse_another_run(run, lineage, finished.trajectory, provenance)


def ensembles_of(measured: Mapping[str, Sequence[Measured]]) -> dict[str, list[Measured]]:
    """Which runs are measured together: those of each network that has several, and `all` where there are several."""
    groups = {model: list(runs) for model, runs in measured.items() if len(runs) > 1}
    if len(measured) > 1:
        groups["all"] = [run for runs in measured.values() for run in runs]
    return groups


def mean_of(runs: Sequence[Measured], each: str) -> Measured:
    """The mean of the figures of several runs or folds; metrics that are not compared by lose their intervals.

    The values that a mean is made of are kept under the name `each`. One alone is given back as it is.
    """
    if len(runs) == 1:
        return runs[0]
    repeats = {
        split: {name: np.mean([run.repeats[split][name] for run in runs], axis=0) for name in DECISIVE}
        for split in runs[0].repeats
    }
    splits = {}
    for split, first in runs[0].splits.items():
        metrics = {}
        for name in first["metrics"]:
            values = [run.splits[split]["metrics"][name]["value"] for run in runs]
            low, high = interval(repeats[split][name]) if name in DECISIVE else (np.nan, np.nan)
            metrics[name] = {"value": float(np.mean(values)), "low": low, "high": high, each: values}
        splits[split] = {"metrics": metrics, "strata": {}}
    return dataclasses.replace(runs[0], splits=splits, repeats=repeats)
