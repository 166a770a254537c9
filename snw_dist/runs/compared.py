"""How the settings of two runs differ, and what they were trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpc.disk.reading import BadFileError, read_json
from hpc.errors import InputError
from snw_dist.trained_run.folder import read_finished

CONFIG = "config.json"
_OF_EVERY_RUN = ("run.name", "run.folder")


def differences(one: Path, other: Path) -> list[tuple[str, str, str]]:
    """Each setting that the two runs do not share, with the value of either; `-` where a run does not have it.

    The last line is about the training pairs, known of a run that has finished. Raises `InputError` for a run that has
    no settings yet, because nothing of it was trained.
    """
    first, second = _flat(_settings(one)), _flat(_settings(other))
    keys = [key for key in dict.fromkeys([*first, *second]) if key not in _OF_EVERY_RUN]
    found = [(key, _shown(first, key), _shown(second, key)) for key in keys]
    found.append(("training pairs", _trained_on(one), _trained_on(other)))
    return [line for line in found if line[1] != line[2]]


def _shown(values: Mapping[str, Any], key: str) -> str:
    return json.dumps(values[key], ensure_ascii=False) if key in values else "-"


def _trained_on(run: Path) -> str:
    """The beginning of the digest of the pairs that it has seen last."""
    finished = read_finished(run)
    return finished.trained_on[-1][:12] if finished is not None and finished.trained_on else "-"


def _settings(run: Path) -> Mapping[str, Any]:
    try:
        values = read_json(run / CONFIG)
    except FileNotFoundError:
        have = "it is no run" if not run.is_dir() else "nothing of it was trained yet"
        raise InputError(f"{run / CONFIG}: no settings: {have}.") from None
    except (BadFileError, OSError) as error:
        raise InputError(f"{run / CONFIG}: cannot be read: {error}.") from None
    if not isinstance(values, dict):
        raise InputError(f"{run / CONFIG}: no object with keys and values.")
    return values


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return found
