"""Reading `SNW_config.json`, with values of the command line and with paths that hold from any folder.

JSON has no comments, so a key that begins with `//` is one, and so is what it holds: also a setting that somebody has
switched off in this way. `$schema` at the top is for editors.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpc.disk.home import expanded
from hpc.disk.reading import BadFileError, read_json
from hpc.disk.strict import legal_keys
from hpc.errors import InputError
from hpc.job.profile import profile_from
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict

SCHEMA_KEY = "$schema"
COMMENT = "//"
"""What the key of a comment begins with."""
_MOST_BYTES = 2**20


def load_config(
    path: str | Path,
    overrides: Mapping[str, Any] | None = None,
    exact: Mapping[str, Any] | None = None,
    given_by: str = "the command line",
) -> SnwConfig:
    """Read `SNW_config.json`; `overrides` maps dotted keys (`train.zero_stage`) to values, `None` meaning not given.

    `exact` does too, and there `None` is null. What is wrong with these alone is told of `given_by`, not of the file.

    Relative paths of the file are taken from the folder of the file, so a command works from anywhere.
    Raises `InputError` naming the file, the line of a JSON mistake, or the key.
    """
    path = Path(path)
    try:
        values = read_json(path, _MOST_BYTES)
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file. Give --config FILE, run in a folder with SNW_config.json, or have one written from "
            "your files: snw-dist init"
        ) from None
    except BadFileError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: the top level must be an object with the sections {legal_keys(SnwConfig)}.")
    given = {key: value for key, value in (overrides or {}).items() if value is not None} | dict(exact or {})
    values = without_comments({key: value for key, value in values.items() if key != SCHEMA_KEY})
    return _absolute(_with_given(values, given, str(path), given_by), path.resolve().parent)


def _with_given(values: dict[str, Any], given: Mapping[str, Any], source: str, given_by: str) -> SnwConfig:
    """The values of a file with others; raises `InputError` for the file's mistakes first, then for those of the rest.

    Another value may mend a mistake of the file.
    """
    changed = copy.deepcopy(values)
    for key, value in given.items():
        set_dotted(changed, key, value)
    try:
        return config_from_dict(changed, given_by)
    except InputError:
        config_from_dict(values, source)
        raise


def without_comments(values: Any) -> Any:
    """Plain data without the keys that are comments, however deep they lie."""
    if isinstance(values, dict):
        return {key: without_comments(value) for key, value in values.items() if not key.startswith(COMMENT)}
    return [without_comments(value) for value in values] if isinstance(values, list) else values


def with_values(config: SnwConfig, values: Mapping[str, Any], source: str) -> SnwConfig:
    """The same configuration with other values for some dotted keys, which `source` gives."""
    changed = config_to_dict(config)
    for key, value in values.items():
        set_dotted(changed, key, value)
    return config_from_dict(changed, source)


def parse_layers(text: str | None) -> int | list[int] | None:
    """`encoder.layer` from the command line: "-1", or "10,20,30"; raises `InputError` for anything else."""
    if text is None:
        return None
    try:
        layers = [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--layer {text!r}: give a number, or several with commas between them") from None
    return layers if len(layers) > 1 else layers[0]


def set_dotted(values: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key; raises `InputError` where a value is in the place of a section."""
    *sections, name = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"{key}: {section}: must be an object, and is a value")
    values[name] = value


def _absolute(config: SnwConfig, base: Path) -> SnwConfig:
    """Anchor the relative paths at `base`; a hub id (no such path beside the file) stays as it is."""

    def anchor(value: str) -> str:
        return str(base / expanded(value))

    data = dataclasses.replace(
        config.data,
        ligands=anchor(config.data.ligands),
        receptors=anchor(config.data.receptors),
        pairs=anchor(config.data.pairs),
        folder=anchor(config.data.folder) if config.data.folder else None,
    )
    weights = config.encoder.weights
    if weights and (Path(anchor(weights)).exists() or weights.startswith((".", "/", "~")) or weights.endswith(".pth")):
        weights = anchor(weights)
    profile = config.cluster.profile and profile_from(config.cluster.profile, base)
    return dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, folder=anchor(config.run.folder)),
        data=data,
        encoder=dataclasses.replace(config.encoder, weights=weights),
        store=dataclasses.replace(config.store, path=anchor(config.store.path) if config.store.path else None),
        cluster=dataclasses.replace(config.cluster, profile=profile),
    )
