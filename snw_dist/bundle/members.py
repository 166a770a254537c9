"""Which runs become members of a bundle, and what `evaluate` or `compare` has measured of them.

Nothing is measured here: a figure of a bundle is one that stands in the run folder already.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from hpc.disk.folder import recover
from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError, InputError
from snw_dist.bundle.format import Threshold
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.files.inputs import TABLES
from snw_dist.data.files.parquet import open_parquet, read_parquet
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.trained import data_digest, rows_of
from snw_dist.predict.calibration import CALIBRATION, CalibrationFields, read_calibration
from snw_dist.predict.export import verify_export
from snw_dist.predict.manifest import read_manifest
from snw_dist.trained_run.lineage import trained_on

_MOST_BYTES = 2**28
_MOST_NAMES = 10
_PREDICTIONS = pa.schema(
    [
        *((name, pa.string()) for name in ("ligand_id", "receptor_id")),
        ("label", pa.float64()),
        ("positive", pa.bool_()),
        *((name, pa.string()) for name in ("split", "stratum")),
        *((name, pa.float64()) for name in ("score", "probability")),
    ]
)


@dataclass(frozen=True)
class Member:
    """A run that becomes a member."""

    name: str
    settings: SnwConfig
    """Those that it was trained with."""
    description: dict[str, Any]
    """Of its export."""
    weights_sha256: str
    threshold: Threshold
    splits: dict[str, Any]
    """Its figures in every split, as `evaluate` writes them."""
    prepared: Prepared
    """The data that it was trained and measured on."""
    predictions: pd.DataFrame
    """Its scores and probabilities of the held-out pairs, with the two sequences as `ligand` and `receptor`."""
    fold: str | None = None
    """The run whose data these are, where there are several."""

    @property
    def export(self) -> Path:
        """The folder of its weights."""
        return self.settings.run_folder / "export"


@dataclass(frozen=True)
class Chosen:
    """The members, and what was measured beside them."""

    members: list[Member]
    measured: dict[str, Any]
    """`splits`, `controls`, `bootstrap`, `sentences` and what words mean, as plain data."""

    @property
    def folds(self) -> list[list[Member]]:
        """The members by the data that they were measured on; one list where all share them."""
        names = dict.fromkeys(member.fold for member in self.members)
        return [[member for member in self.members if member.fold == name] for name in names]

    @property
    def tables(self) -> list[list[pd.DataFrame]]:
        """The predictions of `folds`."""
        return [[member.predictions for member in of_fold] for of_fold in self.folds]

    def calibration(self, mean: Mapping[str, Any] | None) -> CalibrationFields:
        """That of the mean of several members, or that of a single one."""
        if mean is None:
            return read_calibration(self.members[0].export / CALIBRATION)
        return CalibrationFields(**mean["calibration"])


def chosen_members(config: SnwConfig, choice: str | None) -> Chosen:
    """The run itself, or by `choice` runs of its comparison: `all`, `best`, or networks and runs by their names.

    `best` is the network that is best on validation, with all its seeds and folds. Raises `InputError` for what is not
    trained or not measured yet, with the command that does it, and `CorruptError` for what is damaged.
    """
    if choice is None:
        return _of_run(config)
    if not choice.strip():
        raise InputError("--members: give all, best, or networks and runs by their names.")
    return _of_comparison(config, choice)


def _of_run(config: SnwConfig) -> Chosen:
    folder, name = config.run_folder, config.run.name
    again = f"Measure it: snw-dist evaluate --run {shlex.quote(name)}"
    _check_trained(folder)
    verify_export(folder / "export")
    metrics = _record(folder / "evaluation" / "metrics.json", again)
    try:
        model, made_of = metrics["model"], metrics["provenance"]["weights_sha256"]
        sentences = [verdict["sentence"] for verdict in metrics["comparison"].values()]
        measured = {key: metrics[key] for key in ("splits", "controls", "bootstrap", "meaning")}
        found = _Measured(model, made_of, folder / "evaluation" / "predictions.parquet", again)
    except (KeyError, TypeError, AttributeError):
        raise CorruptError(f"{folder / 'evaluation' / 'metrics.json'}: not what evaluate writes. {again}") from None
    return Chosen([_member(name, settings_of(folder, config), found, {})], measured | {"sentences": sentences})


def _check_trained(folder: Path) -> None:
    recover(folder / "export")
    if (folder / "export").exists():
        return
    if (folder / "compare").exists():
        raise InputError(f"{folder}: no network of its own, but a comparison. Choose of it: --members all, or best")
    if folder.exists():
        raise InputError(f"{folder}: not trained yet. Train it: snw-dist train --run {shlex.quote(folder.name)}")
    there = sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) if folder.parent.is_dir() else []
    raise InputError(f"{folder}: no such run: there {_listed(there)}. Name another, or train it first: --run NAME")


def _listed(names: list[str]) -> str:
    shown = [*names[:_MOST_NAMES], *(["..."] if len(names) > _MOST_NAMES else [])]
    return f"are {', '.join(shown)}" if names else "is none"


def _of_comparison(config: SnwConfig, choice: str) -> Chosen:
    folder, name = config.run_folder, config.run.name
    again = f"Compare again: snw-dist compare --models A,B --run {shlex.quote(name)}"
    files = [folder / "compare" / file for file in ("comparison.json", "cross_validation.json")]
    file = next((file for file in files if file.exists()), files[0])
    comparison = _record(file, again)
    try:
        runs = {run: model for model, facts in comparison["models"].items() for run in facts["runs"]}
        found = {}
        for run in _wanted(choice, runs, comparison["networks"], name):
            fold = run.rsplit("-", 2)[0] if comparison["folds"] > 1 else None
            predictions = folder.with_name(fold or name) / "compare" / f"run_{run}.parquet"
            own, digests = comparison["models"][runs[run]]["each"][run], comparison["made_of"][run]
            found[run] = fold, _Measured(own, digests["weights_sha256"], predictions, again)
        sentences = [found["sentence"] for split in comparison["verdicts"].values() for found in split.values()]
        measured = {key: comparison[key] for key in ("splits", "controls", "bootstrap")}
    except (KeyError, TypeError, AttributeError):
        raise CorruptError(f"{file}: not what this version of compare writes. {again}") from None
    loaded: dict[Path, Prepared] = {}
    members = [
        _member(run.removeprefix(f"{name}-"), settings_of(folder.with_name(run), config), own, loaded, fold)
        for run, (fold, own) in found.items()
    ]
    return Chosen(members, measured | {"sentences": sentences})


def _wanted(choice: str, runs: Mapping[str, str], networks: Mapping[str, Any] | None, name: str) -> list[str]:
    """The runs that are chosen, in the order of the comparison; `runs`: run -> its network."""
    if choice == "all":
        return list(runs)
    names = [networks["best"] if networks else next(iter(runs.values()))] if choice == "best" else choice.split(",")
    known = {key: [run] for run in runs for key in (run, run.removeprefix(f"{name}-"))}
    for run, network in runs.items():
        known.setdefault(network, []).append(run)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"--members {choice}: no {', '.join(unknown)} in the comparison of {name}: it has "
            f"{', '.join(dict.fromkeys([*runs.values(), *runs]))}."
        )
    found = {run for name in names for run in known[name]}
    return [run for run in runs if run in found]


@dataclass(frozen=True)
class _Measured:
    """What was measured of a run, of which weights, and how to do it again."""

    figures: Mapping[str, Any]
    weights_sha256: str
    predictions: Path
    again: str


def _member(
    name: str, settings: SnwConfig, measured: _Measured, loaded: dict[Path, Prepared], fold: str | None = None
) -> Member:
    """`loaded`: data that have been read already, by their folder."""
    folder = settings.run_folder
    weights, _ = verify_export(folder / "export")
    if weights != measured.weights_sha256:
        raise InputError(f"{folder / 'export'}: other weights by now than those that were measured. {measured.again}")
    description = read_manifest(folder / "export")[0].description
    place = settings.data_folder
    prepared = loaded[place] = loaded.get(place) or load_prepared(place)
    if data_digest(rows_of(prepared)) != trained_on(description["provenance"])[-1]:
        raise InputError(
            f"{place}: not the pairs that {folder.name} was trained on, so nobody knows their sequences. Prepare them "
            "as they were: snw-dist prepare"
        )
    table = _read_predictions(measured.predictions, prepared, measured.again)
    figures = measured.figures
    return Member(name, settings, description, weights, figures["threshold"], figures["splits"], prepared, table, fold)


def settings_of(run_folder: Path, config: SnwConfig) -> SnwConfig:
    """The settings that a run was trained with, as training has left them.

    They name places as they were then. The run is where it was found; data, store and input files that have been moved
    since are looked for where `config` has them. Raises `InputError` where there are no such settings, and
    `CorruptError` where they cannot be read.
    """
    saved = config_from_dict(_record(run_folder / "config.json", "Train it: snw-dist train"))
    here = dataclasses.replace(saved, run=dataclasses.replace(saved.run, folder=str(run_folder.parent)))
    data: dict[str, Any] = {
        key: getattr(config.data, key) for key in TABLES if not Path(getattr(here.data, key)).exists()
    }
    if not here.data_folder.exists():
        data["folder"] = str(config.data_folder)
    store = here.store if here.store_path.exists() else dataclasses.replace(here.store, path=str(config.store_path))
    return dataclasses.replace(here, data=dataclasses.replace(here.data, **data), store=store)


def _read_predictions(file: Path, prepared: Prepared, again: str) -> pd.DataFrame:
    if not file.exists():
        raise InputError(f"{file}: the scores of this run are not there. {again}")
    rows = open_parquet(file, None, CorruptError, again).metadata.num_rows
    table: pd.DataFrame = read_parquet(file, _PREDICTIONS, rows, CorruptError, again).to_pandas()
    for side, sequences in (("ligand", prepared.ligands), ("receptor", prepared.receptors)):
        table[side] = table[f"{side}_id"].map(sequences)
    if table[["ligand", "receptor"]].isna().any(axis=None):
        raise InputError(f"{file}: has pairs that the data have not any more. {again}")
    return table


def _record(file: Path, again: str) -> dict[str, Any]:
    try:
        content = read_json(file, _MOST_BYTES)
    except FileNotFoundError:
        raise InputError(f"{file}: not there yet. {again}") from None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{file}: cannot be read: {error}. {again}") from None
    if not isinstance(content, dict):
        raise CorruptError(f"{file}: no object with keys and values. {again}")
    return content
