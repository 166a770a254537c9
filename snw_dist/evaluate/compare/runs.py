"""Several networks on the same data, split and seeds: one run for each, then one table with the controls.

The controls that need no network are computed once. Over several seeds a network's figures are means; their interval
is that of the mean, because all runs are resampled by the same draws. Runs are also measured together, by the mean of
their calibrated probabilities: an ensemble (Lakshminarayanan et al. 2017), which depends less on chance than each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hpc.disk.folder import new_folder
from hpc.errors import InputError
from hpc.told import did, long_work
from snw_dist.arrays import FloatArray
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.trained import data_digest, rows_of
from snw_dist.evaluate.compare.compared import Comparison
from snw_dist.evaluate.controls.controls import chosen_controls, data_controls
from snw_dist.evaluate.measurable import without_repeats
from snw_dist.evaluate.measure.calibration import save_calibration
from snw_dist.evaluate.measure.held_out import TRAIN, VAL, pairs_of
from snw_dist.evaluate.measure.measured import DECISIVE, Measured, Part, describe, measure_scores, parts_of
from snw_dist.evaluate.predictions import write_predictions
from snw_dist.evaluate.run import score_run
from snw_dist.evaluate.training_cost import Trained
from snw_dist.metrics.bootstrap import interval
from snw_dist.trained_run.folder import read_finished
from snw_dist.trained_run.lineage import Lineage
from snw_dist.trained_run.resumable import refuse_another_run

COMPARISON = "comparison.json"
_FILES = (COMPARISON, "ensemble_*", "run_*")
"""What a comparison writes into its folder, which appears at once."""


@dataclasses.dataclass(frozen=True)
class _HeldOut:
    """The pairs that all are measured on, and by the same draws."""

    pairs: pd.DataFrame
    parts: list[Part]
    seed: int

    @classmethod
    def of(cls, pairs: pd.DataFrame, config: SnwConfig, symmetric: bool) -> _HeldOut:
        held_out, seed = pairs[pairs["split"] != TRAIN].reset_index(drop=True), config.run.seed
        return cls(held_out, parts_of(held_out, config.evaluate.bootstrap, seed, symmetric), seed)

    def measure(self, scores: FloatArray, name: str) -> Measured:
        return measure_scores(self.pairs, self.parts, scores, self.seed, name)

    def table(self, scores: FloatArray, measured: Measured) -> pd.DataFrame:
        return self.pairs.assign(score=scores, probability=measured.probability)


class _MeasuredRun(NamedTuple):
    """One run, on the held-out pairs."""

    name: str
    export: Path
    scores: FloatArray
    """[held-out pairs]"""
    measured: Measured
    encoder: str
    """In words, as its export says."""
    made_of: dict[str, str]
    trained: Trained


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

    The scores of each run and of each ensemble (see `ensembles_of`) are beside it as `run_NAME` and `ensemble_NAME`,
    `.csv` and `.parquet`, and the calibration of each run beside its weights. Runs that did not reach their end are
    listed under `missing`. An earlier comparison stays whole until this one is. Raises `InputError` when none did, and
    for a run of other settings, or one that was trained on other data, see `measurable`.
    """
    prepared, folder = load_prepared(config.data_folder), config.run_folder / "compare"
    digest = data_digest(rows_of(prepared))
    finished, missing = _finished(runs, prepared)
    if not finished:
        raise InputError(f"{config.run_folder}: none of the runs has reached its end: {', '.join(missing)}")
    usable, left_out = without_repeats(prepared)
    pairs = pairs_of(usable)
    held_out = _HeldOut.of(pairs, config, prepared.symmetric)
    learned = data_controls(pairs, chosen_controls(config.evaluate.controls), prepared.symmetric)
    controls: dict[str, Measured] = {name: held_out.measure(of.scores, name) for name, of in learned.items()}
    networks = _measured_runs(finished, prepared, held_out)
    each = [run for group in networks.values() for run in group]
    measured = {model: [run.measured for run in group] for model, group in networks.items()}
    ensembles, tables = _ensembles(measured, held_out)
    tables |= {f"run_{run.name}": held_out.table(run.scores, run.measured) for run in each}
    comparison = Comparison(
        encoder=each[-1].encoder,
        repeats=config.evaluate.bootstrap,
        seed=config.run.seed,
        splits=describe(held_out.pairs, held_out.parts),
        runs={model: [run.name for run in group] for model, group in networks.items()},
        models={model: mean_of(group, "of_runs") for model, group in measured.items()},
        ensembles=ensembles,
        controls=controls,
        missing=missing,
        made_of={run.name: run.made_of for run in each},
        data=[digest],
        left_out=[left_out],
        trained={run.name: run.trained for run in each},
        learned_from=[{name: control.plain() for name, control in learned.items()}],
        each={run.name: run.measured for run in each},
    )
    _write(folder, comparison, tables)
    num_val = int((held_out.pairs["split"] == VAL).sum())
    for run in each:
        save_calibration(run.export, run.measured.calibration, VAL, num_val, run.made_of)
    return comparison


def _measured_runs(
    finished: Mapping[str, Sequence[SnwConfig]], prepared: Prepared, held_out: _HeldOut
) -> dict[str, list[_MeasuredRun]]:
    with long_work("measuring the networks", sum(map(len, finished.values())), "runs"):
        return {model: [_measured_run(run, prepared, held_out) for run in group] for model, group in finished.items()}


def _write(folder: Path, comparison: Comparison, tables: Mapping[str, pd.DataFrame]) -> None:
    with new_folder(folder, ours=_FILES) as fresh:
        for name, table in tables.items():
            write_predictions(fresh, name, table)
        comparison.write(fresh / COMPARISON)


def _finished(
    runs: Mapping[str, Sequence[SnwConfig]], prepared: Prepared
) -> tuple[dict[str, list[SnwConfig]], list[str]]:
    """For each network that has any, its runs that reached their end; and the names of all others."""
    finished: dict[str, list[SnwConfig]] = {}
    missing: list[str] = []
    for model, group in runs.items():
        for run in group:
            if _is_finished(run, prepared):
                finished.setdefault(model, []).append(run)
            else:
                missing.append(run.run.name)
    return finished, missing


def _is_finished(run: SnwConfig, prepared: Prepared) -> bool:
    """Whether the run reached its end; raises `InputError` when what has ended is another run than `run` describes.

    Where `run` is allowed to go on with other settings, it has not reached the end of these.
    """
    finished = read_finished(run.run_folder)
    if finished is None or not finished.trajectory:
        return finished is not None
    lineage, provenance = Lineage.of(prepared, run.run_folder), {"trained_on": finished.trained_on}
    return not refuse_another_run(run, lineage, finished.trajectory, provenance)


def _measured_run(run: SnwConfig, prepared: Prepared, held_out: _HeldOut) -> _MeasuredRun:
    """One network, scored and measured; raises `InputError` when it was trained on some of the held-out pairs."""
    scored = score_run(run, prepared, [])
    if len(scored.scores) != len(held_out.pairs):
        raise InputError(
            f"{run.run_folder}: {len(held_out.pairs) - len(scored.scores):,} of the pairs that the networks are "
            "compared on were trained on, or the weights chosen by. Train it under a new run.name, or leave it out."
        )
    encoder = str(scored.description["encoder"]["description"])
    measured = held_out.measure(scored.scores, run.run.name)
    did("runs")
    export = run.run_folder / "export"
    return _MeasuredRun(run.run.name, export, scored.scores, measured, encoder, scored.made_of, scored.trained)


def _ensembles(
    measured: Mapping[str, Sequence[Measured]], held_out: _HeldOut
) -> tuple[dict[str, Measured], dict[str, pd.DataFrame]]:
    """Each ensemble, measured; and the table of its scores, by the name of its file."""
    ensembles, tables = {}, {}
    for name, members in ensembles_of(measured).items():
        scores = np.mean([member.probability for member in members], axis=0)
        ensembles[name] = held_out.measure(scores, f"ensemble {name}")
        tables[f"ensemble_{name}"] = held_out.table(scores, ensembles[name])
    return ensembles, tables


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
