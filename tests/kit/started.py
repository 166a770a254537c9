"""What `init` guesses of a folder, tried at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snw_dist.config_file import load_config
from snw_dist.data.prepare import check_inputs
from snw_dist.starting.settings import first_settings
from snw_dist.starting.written import write_configuration


def guessed(folder: Path, **given: Any) -> dict[str, Any]:
    """The guesses of a folder, written and read again, and its inputs read by them."""
    values = {"data.split.clusters": "identical"} | {key.replace("__", "."): value for key, value in given.items()}
    guesses = first_settings(folder, folder, {}, values, "first")
    path = folder / "SNW_config.json"
    write_configuration(path, guesses)
    checked = check_inputs(load_config(path))
    assert checked.rejects.total == 0
    path.unlink()
    assert all(guess.why for guess in guesses)
    return {guess.key.removeprefix("data."): guess.value for guess in guesses}
