"""Several networks on the same data, split and seeds: one run for each, then one table with the controls.

The controls that need no network are computed once. Over several seeds a network's figures are means; their interval
is that of the mean, because all runs are resampled by the same draws. Runs are also measured together, by the mean of
their calibrated probabilities: an ensemble (Lakshminarayanan et al. 2017), which depends less on chance than each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from hpc.errors import InputError
from hpc.files import atomic_write_json
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.data.folder import new_folder
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.trained import data_digest, rows_of
from snw_dist.evaluate.bootstrap import LEVEL, interval
from snw_dist.evaluate.comparison import judge, turned_round
from snw_dist.evaluate.controls import chosen_controls, data_controls
from snw_dist.evaluate.measurable import left_out_lines, without_repeats
from snw_dist.evaluate.measure import DECISIVE, Measured, describe, measure_scores, parts_of
from snw_dist.evaluate.pairs import TRAIN, VAL, pairs_of
from snw_dist.evaluate.predictions import write_predictions
from snw_dist.evaluate.printed import counts, figure_cells, figures_table
from snw_dist.evaluate.report import without_nan
from snw_dist.evaluate.run import score_run
from snw_dist.train.check import refuse_another_run
from snw_dist.train.lineage import Lineage
from snw_dist.train.run_folder import read_finished

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


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Networks and controls on the same pairs, each measured; over several folds all figures are means."""

    encoder: str
    repeats: int
    seed: int
    splits: dict[str, dict[str, Any]]
    """Split -> what it has, see `measure.describe`."""
    runs: dict[str, list[str]]
    """Network -> the names of its finished runs."""
    models: dict[str, Measured]
    """Network -> the mean of its runs."""
    ensembles: dict[str, Measured]
    controls: dict[str, Measured]
    missing: list[str]
    """Runs that did not reach their end."""
    folds: int = 1
    made_of: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    """Run -> the digests of what its scores are made of."""
    data: list[str] = dataclasses.field(default_factory=list)
    """Digest of the training pairs, see `snw_dist.data.trained`; one for each fold."""
    left_out: list[dict[str, dict[str, int]]] = dataclasses.field(default_factory=list)
    """For each fold, the pairs that are not measured because they were trained on, see `measurable`."""

    def plain(self) -> dict[str, Any]:
        """What the file of the comparison holds."""
        rivals = self.models | {f"ensemble: {name}": ensemble for name, ensemble in self.ensembles.items()}

        def entry(measured: Measured) -> dict[str, Any]:  # each fold has a threshold and a calibration of its own
            return measured.plain() if self.folds == 1 else {"splits": measured.splits}

        plain: dict[str, Any] = without_nan(
            {
                "encoder": self.encoder,
                "folds": self.folds,
                "data": self.data,
                "left_out": self.left_out,
                "bootstrap": {"repeats": self.repeats, "seed": self.seed, "level": LEVEL},
                "splits": self.splits,
                "models": {
                    name: {"runs": self.runs[name], "splits": model.splits} for name, model in self.models.items()
                },
                "ensembles": {name: entry(ensemble) for name, ensemble in self.ensembles.items()},
                "controls": {name: entry(control) for name, control in self.controls.items()},
                "verdicts": {
                    split: {name: judge(model, self.controls, split, facts, name) for name, model in rivals.items()}
                    for split, facts in self.splits.items()
                    if split not in (TRAIN, VAL)
                },
                "missing": self.missing,
                "made_of": self.made_of,
            }
        )
        return plain

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write_json(path, self.plain())


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
    controls: dict[str, Measured] = {
        name: measure_scores(held_out, parts, scores, config.run.seed, name)
        for name, scores in data_controls(pairs, names, prepared.symmetric).items()
    }
    measured: dict[str, list[Measured]] = {}
    encoder, made_of = "", {}
    for model, group in finished.items():
        for run in group:
            scored = score_run(run, prepared, [])
            encoder, made_of[run.run.name] = str(scored.description["encoder"]["description"]), scored.made_of
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


def comparison_table(comparison: Mapping[str, Any]) -> Group:
    """What `Comparison.plain` returned, for a terminal of 120 columns."""
    table: Table = figures_table("split", comparison["bootstrap"])
    for split, facts in comparison["splits"].items():
        table.add_row(Text(split), Text(counts(facts)), style="bold")
        for kind in ("models", "ensembles", "controls"):
            if kind != "models" and comparison[kind]:
                table.add_row(Text(f" {kind}"))
            for name, measured in comparison[kind].items():
                table.add_row(Text(f"  {name}"), *figure_cells(measured["splits"][split]["metrics"]))
        table.add_section()
    lines = [f"encoder: {comparison['encoder']}"]
    folds = comparison["folds"]
    if folds > 1:
        units = {fold["bootstrap"]["unit"] for facts in comparison["splits"].values() for fold in facts["of_folds"]}
        drawn = "proteins" if "protein" in units else "receptors"
        lines.append(f"all figures: mean over {folds} folds; intervals resample the {drawn} of each fold")
    numbers = {-(-len(model["runs"]) // folds) for model in comparison["models"].values()}
    if max(numbers) > 1:
        lines.append(f"networks: mean over {'/'.join(map(str, sorted(numbers)))} runs of different seeds")
    if comparison["ensembles"]:
        lines.append("ensemble: mean of the calibrated probabilities of all runs of a network, or of all networks")
    lines += [verdict["sentence"] for split in comparison["verdicts"].values() for verdict in split.values()]
    turned = [turned_round(comparison["controls"], split) for split in comparison["verdicts"]]
    lines += [line for line in turned if line is not None]
    lines += [line for fold in comparison["left_out"] for line in left_out_lines(fold)]
    if comparison["missing"]:
        lines.append(f"Not there, because their jobs failed: {', '.join(comparison['missing'])}")
    return Group(table, Text(), Text("\n".join(lines)))
