"""The file that is written: JSON, with the reason above each key in a key of its own that begins with `//`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpc.disk.files import atomic_write_bytes
from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.config_file import COMMENT, SCHEMA_KEY, load_config, set_dotted
from snw_dist.schema import SCHEMA_FILE, schema_text
from snw_dist.starting.guess import Guess

_ABOUT = (
    "Written by snw-dist init. A key that begins with // is a comment. What is not here has its default: "
    "snw-dist train --print-config shows all of it."
)


def refuse_existing(path: Path) -> None:
    """Raise `InputError` where there is a file already, or no folder for it: nothing is overwritten."""
    if path.exists() or path.is_symlink():
        raise InputError(
            f"{path}: is there already, and is not overwritten. Remove it, or give --config FILE for another file."
        )
    if not path.parent.is_dir():
        raise InputError(f"{path}: there is no folder {path.parent}. Make it, or give another --config FILE.")


def configuration(guesses: Sequence[Guess]) -> dict[str, Any]:
    """The content of the file; raises `InputError` for settings that do not go together."""
    plain: dict[str, Any] = {}
    values: dict[str, Any] = {SCHEMA_KEY: f"./{SCHEMA_FILE}", COMMENT: _ABOUT}
    for guess in guesses:
        set_dotted(plain, guess.key, guess.value)
        section, _, name = guess.key.rpartition(".")
        set_dotted(values, f"{section}.{COMMENT} {name}", guess.why)
        set_dotted(values, guess.key, guess.value)
    config_from_dict(plain, "the settings of the new configuration")
    return values


def write_configuration(path: Path, guesses: Sequence[Guess]) -> SnwConfig:
    """Write the file, and the schema for editors beside it unless it is there; what the file says as it is read.

    Raises `InputError` where the file is there already.
    """
    text = json.dumps(configuration(guesses), indent=2, ensure_ascii=False) + "\n"
    refuse_existing(path)
    atomic_write_bytes(path, text.encode())
    if not (schema := path.with_name(SCHEMA_FILE)).exists():
        atomic_write_bytes(schema, schema_text().encode())
    return load_config(path)
