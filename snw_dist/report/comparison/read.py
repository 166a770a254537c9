"""What a comparison has left on disk: its figures, and the settings of its runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError, InputError
from snw_dist.evaluate.compare.folds import CROSS_VALIDATION
from snw_dist.evaluate.compare.runs import COMPARISON

_NEEDED = {"models", "ensembles", "controls", "splits", "verdicts", "networks", "missing", "folds", "bootstrap"}


def comparison_file(folder: Path) -> Path:
    """The file of a comparison, in `folder` or in `compare` of that; raises `InputError` where there is none.

    A cross-validation is the whole of which the comparison of a fold is a part, so it goes first.
    """
    for place in (folder, folder / "compare"):
        for name in (CROSS_VALIDATION, COMPARISON):
            if (place / name).is_file():
                return place / name
    raise InputError(f"{folder}: no {COMPARISON} here. Make one: snw-dist compare, and give its folder compare.")


def read_comparison(file: Path) -> dict[str, Any]:
    """What `Comparison.write` wrote; raises `CorruptError` where it is damaged or of another version."""
    try:
        found = read_json(file)
    except (OSError, BadFileError) as error:
        raise CorruptError(f"{file}: cannot be read ({error}). Make it again: snw-dist compare") from None
    if not isinstance(found, dict) or not found.keys() >= _NEEDED:
        raise CorruptError(f"{file}: not a comparison of this version of snw-dist. Make it again: snw-dist compare")
    return found


def settings_of(file: Path, runs: Sequence[str]) -> dict[str, dict[str, str]]:
    """Run -> its settings as text, by their dotted keys; without the runs whose `config.json` is not there any more."""
    folder, settings = file.parent.parent.parent, {}
    for run in runs:
        try:
            settings[run] = dict(_flat(read_json(folder / run / "config.json")))
        except (OSError, BadFileError):
            continue
    return settings


def differing(settings: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, list[str]]]:
    """Key -> value -> the runs that have it, of all keys whose values differ but the names of the runs."""
    keys = dict.fromkeys(key for own in settings.values() for key in own)
    found: dict[str, dict[str, list[str]]] = {}
    for key in keys:
        by_value: dict[str, list[str]] = {}
        for run, own in settings.items():
            by_value.setdefault(own.get(key, "not there"), []).append(run)
        if len(by_value) > 1 and key != "run.name":
            found[key] = by_value
    return found


def _flat(values: Any, before: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _flat(value, f"{before}.{key}" if before else str(key))
    else:
        yield before, json.dumps(values)
