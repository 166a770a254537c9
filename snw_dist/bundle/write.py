"""Writing a bundle: a folder that appears at once, with everything that scoring needs and nothing else of the run."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpc.disk.files import file_digest
from hpc.disk.folder import new_folder
from hpc.disk.reading import read_json, read_small
from hpc.disk.sealed import write_sealed
from hpc.errors import CorruptError, InputError
from snw_dist.bundle.background import standard_background
from snw_dist.bundle.card import card
from snw_dist.bundle.format import (
    AUDIT,
    BUNDLE,
    CALIBRATION_PAIRS,
    CARD,
    FORMAT_VERSION,
    LABELS,
    MEMBERS,
    METRICS,
    PARITY,
    SETTINGS,
    TRAINED_ON,
    TRUST,
    BundleFile,
    member_file,
)
from snw_dist.bundle.members import Chosen, Member
from snw_dist.bundle.parity import parity_of
from snw_dist.bundle.read import open_bundle
from snw_dist.bundle.trust import trained_sequences, trust_of
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.tables import TRANSFORM
from snw_dist.embedding.store.header import rows_digest
from snw_dist.predict.calibration import CALIBRATION, read_calibration
from snw_dist.predict.export import verify_export
from snw_dist.predict.manifest import MANIFEST, WEIGHTS
from snw_dist.trained_run.lineage import trained_on
from snw_dist.version import __version__

_ROW_TYPES = ("float32", "float16", "bfloat16")
_PACKAGES = ("torch", "numpy", "safetensors")
_FILES = ("[!.]*",)
"""All of a bundle; a `.git` beside it belongs to whoever keeps it there."""
_OURS = re.compile(rf"\..*|{MEMBERS}|{re.escape(CARD)}|[a-z_]+\.json")
_OF_THIS_PLACE = ("run", "store", "cluster")
"""Sections of the settings that say where and how the runs were made, and nothing of the networks."""


def write_bundle(
    target: Path,
    name: str,
    chosen: Chosen,
    mean: Mapping[str, Any] | None,
    band: Sequence[Sequence[float]],
    config: SnwConfig,
    calibration_pairs: Mapping[str, Any] | None = None,
) -> BundleFile:
    """Make a bundle of the members; what `target` held before is replaced, unless it is something else than a bundle.

    `mean`: `threshold`, `calibration` and `splits` of several members together. `band`: see `snw_dist.bundle.trust`.
    `config` has the licences. `calibration_pairs`: the content of that file. Raises `InputError` where `target` is
    something else, or lies in a bundle or an export, and as `verify_export` for a damaged export.
    """
    _check_place(target)
    says = _says(name, chosen, mean, config)
    figures = chosen.measured | {
        "members": {member.name: {"threshold": member.threshold, "splits": member.splits} for member in chosen.members},
        "mean": None if mean is None else {"threshold": mean["threshold"], "splits": mean["splits"]},
        "calibration_split": calibration_pairs and calibration_pairs["split"],
    }
    with new_folder(target, ours=_FILES) as fresh:
        for member in chosen.members:
            _copy_export(member, fresh)
        first = chosen.members[0]
        tables = [{member.name: member.predictions for member in of_fold} for of_fold in chosen.folds]
        contents = {SETTINGS: _without_places(first.settings), METRICS: figures, PARITY: parity_of(tables)}
        contents[TRAINED_ON] = dataclasses.asdict(trained_sequences(chosen.members))
        contents[TRUST] = trust_of(chosen, band)
        for file, content in {**contents, CALIBRATION_PAIRS: calibration_pairs}.items():
            if content is not None:
                _write_json(fresh / file, content)
        for place, file in ((TRANSFORM, LABELS), (AUDIT, AUDIT)):
            if (first.settings.data_folder / place).exists():
                _write_json(fresh / file, read_json(first.settings.data_folder / place))
        (fresh / CARD).write_text(card(says, figures), encoding="utf-8")
        files = sorted(path for path in fresh.rglob("*") if path.is_file())
        says["files"] = {
            path.relative_to(fresh).as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
            for path in files
        }
        write_sealed(fresh / BUNDLE, says)
        return open_bundle(fresh).says


def _check_place(target: Path) -> None:
    """Raise `InputError` where something would be lost, or made invalid, by a bundle there."""
    other = "Choose another folder: --to FOLDER"
    if foreign := _foreign(target):
        raise InputError(f"{target}: holds something else than a bundle ({foreign}). {other}")
    for above in Path(os.path.realpath(target)).parents:
        if any((above / name).exists() for name in (BUNDLE, MANIFEST)):
            raise InputError(
                f"{target}: inside {above}, which is a bundle or an export and must stay as it is. {other}"
            )


def _foreign(target: Path) -> str | None:
    """A name in the folder that is of no bundle, and would be lost; hidden ones stay beside a bundle."""
    names = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
    if BUNDLE not in names:
        return names[0] if names else None
    return next((name for name in names if not _OURS.fullmatch(name)), None)


def _says(name: str, chosen: Chosen, mean: Mapping[str, Any] | None, config: SnwConfig) -> dict[str, Any]:
    """The content of `bundle.json`, but for the files."""
    first = chosen.members[0]
    data = first.settings.data
    log_affinity = data.scores.term is not None and data.scores.transform == "log_affinity"
    return {
        "format_version": FORMAT_VERSION,
        "name": name,
        "members": {member.name: _entry(member) for member in chosen.members},
        "mean": None if mean is None else {key: mean[key] for key in ("threshold", "calibration")},
        "rows": _rows(chosen.members),
        "sequences": {
            "symmetric": first.prepared.symmetric,
            "non_standard": data.non_standard,
            "min_length": data.min_length,
            "max_length": data.max_length,
        },
        "labels": {
            "transform": data.scores.transform if data.scores.term else None,
            "term": data.scores.term if data.scores.unit == "nM" else f"affinity ({data.scores.term}, told in nM)",
            "unit": "nM" if log_affinity else None,
            "positive_from": data.positive_from,
        },
        "background": standard_background(),
        "licences": {"data": config.data.license, "encoder": config.encoder.license},
        "versions": {"snw-dist": __version__} | {package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def _entry(member: Member) -> dict[str, Any]:
    return {
        "run": member.settings.run.name,
        "network": member.description["model"]["name"],
        "step": member.description["step"],
        "threshold": member.threshold,
        "weights_sha256": member.weights_sha256,
        "trained_on": trained_on(member.description["provenance"]),
        "tuned": "tuned_encoder" in member.description,
        "fold": member.fold,
    }


def _rows(members: list[Member]) -> dict[str, Any]:
    """Of the rows that all were trained on; their type is the one that gives the digest by which they were measured."""
    found = {}
    for member in members:
        encoder, width = member.description["encoder"], member.description["d_input"]
        measured = read_calibration(member.export / CALIBRATION).made_of.get("store_rows_sha256")
        types = [dtype for dtype in _ROW_TYPES if rows_digest(encoder, dtype, width) == measured]
        if not types:
            raise InputError(
                f"{member.export / CALIBRATION}: measured on rows of another encoder than the network was trained on. "
                "Measure it again: snw-dist evaluate"
            )
        revision = member.settings.encoder.revision
        facts = {"encoder": encoder, "dtype": types[0], "width": width, "revision": revision, "sha256": measured}
        found[measured] = facts
    if len(found) > 1:
        raise InputError(
            "the members were trained on rows of different encoders. Make a bundle of each: --members NAME"
        )
    return next(iter(found.values()))


def _copy_export(member: Member, fresh: Path) -> None:
    """The export as it is; raises `CorruptError` where it is replaced meanwhile."""
    record = read_calibration(member.export / CALIBRATION)
    target = (fresh / member_file(member.name, MANIFEST)).parent
    target.mkdir(parents=True)
    for name in (MANIFEST, WEIGHTS, CALIBRATION):
        (target / name).write_bytes(read_small(member.export / name, 2**50))
    if {verify_export(target)[0], record.made_of["weights_sha256"]} != {member.weights_sha256}:
        raise CorruptError(f"{member.export}: replaced while it was copied. A training of this run is still going on.")


def _without_places(config: SnwConfig) -> dict[str, Any]:
    """The settings of networks, data and encoder; of the user's files the names alone, of nobody's folders."""
    values = {key: section for key, section in config_to_dict(config).items() if key not in _OF_THIS_PLACE}
    values["data"] = {key: value for key, value in values["data"].items() if key != "folder"}
    for key in ("ligands", "receptors", "pairs"):
        values["data"][key] = Path(values["data"][key]).name
    return values | {"run": {"name": config.run.name, "seed": config.run.seed}}


def _write_json(file: Path, value: Any) -> None:
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False)
    file.write_text(f"{text}\n", encoding="utf-8")
