"""Prepared data on which a network stands are not replaced by others without a word."""

from __future__ import annotations

from pathlib import Path

from hpc.disk.reading import BadFileError, read_json
from hpc.errors import InputError
from hpc.save.checkpoint import committed_checkpoints
from snw_dist.config import SnwConfig
from snw_dist.data.checked import Checked
from snw_dist.data.trained import data_digest, records, rows_of_checked, trained_files, what_changed

_ELSEWHERE = ("Give --run NAME and another data.folder, because runs share this one", "Give --run NAME for a new run")
"""Where other data can be made, without and with a data folder for each run."""


def refuse_other_pairs(config: SnwConfig, checked: Checked) -> None:
    """Raise `InputError` where a network of a run on this data folder was trained on other pairs than these."""
    rows = rows_of_checked(checked)
    digest = data_digest(rows)
    for folder in _runs_on(config):
        seen = records(folder)
        trained = trained_files(folder) or committed_checkpoints(folder / "checkpoints")
        if trained and seen and digest not in seen:
            changed = "; or ".join(what_changed(folder, other, rows, checked.origin) for other in seen)
            raise InputError(
                f"{config.data_folder}: the network in {folder} was trained on other pairs ({changed}). Nothing was "
                f"replaced. {_ELSEWHERE[config.data.folder is None]}, or the old values and files. To replace the data "
                "all the same: snw-dist prepare --allow-changes"
            )


def _runs_on(config: SnwConfig) -> list[Path]:
    """This run and those beside it whose `config.json` names its data folder."""
    found = [config.run_folder]
    for file in sorted(config.run_folder.parent.glob("*/config.json")):
        try:
            values = read_json(file)
            folder = values["data"]["folder"]
        except (BadFileError, OSError, LookupError, TypeError):
            continue
        if isinstance(folder, str) and Path(folder) == config.data_folder and file.parent != config.run_folder:
            found.append(file.parent)
    return found
