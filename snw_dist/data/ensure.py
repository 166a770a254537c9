"""The prepared data of a run, made where they are missing or made from other inputs: for commands, before a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from snw_dist.config import SnwConfig
from snw_dist.config_file import with_values
from snw_dist.data.files.inputs import input_files
from snw_dist.data.prepared import Prepared, load_prepared, read_summary
from snw_dist.data.tables import SUMMARY

T = TypeVar("T")


def ensure_prepared(config: SnwConfig) -> Prepared:
    """The prepared data of a run, made first where need be, see `with_prepared`.

    In a job of several processes call it in one of them and `load_prepared` in the others afterwards.
    """
    return with_prepared(config, lambda prepared: prepared)


def as_prepared(config: SnwConfig) -> SnwConfig:
    """The configuration with what `prepare` was given on its command line: it holds until it is called again."""
    path = config.data_folder / SUMMARY
    if not path.is_file():
        return config
    return with_values(config, read_summary(config.data_folder).get("given", {}), str(path))


def with_prepared(config: SnwConfig, check: Callable[[Prepared], T], allow_changes: bool = False) -> T:
    """What `check` returns for the prepared data of a run; they are made first when absent or made from others.

    See `as_prepared` for what holds beside the configuration. New data take the place of older ones only after
    `check`, so a command that refuses leaves them as they were. Raises as `write_prepared` does, to which
    `allow_changes` is handed on.
    """
    # here and not above: a rank loads this module (by `precheck`), and never makes data
    from snw_dist.data.made_from import made_from
    from snw_dist.data.prepare import check_inputs, write_prepared

    folder, given, config = config.data_folder, {}, as_prepared(config)
    if (folder / SUMMARY).is_file():
        summary = read_summary(folder)
        given = summary.get("given", {})
        inputs = input_files(*config.data.fasta, config.data.pairs)
        if summary["made_from"] == made_from(inputs, config.data, config.split_seed):
            return check(load_prepared(folder))
    found: list[T] = []
    checked = check_inputs(config)
    write_prepared(config, checked, given, allow_changes, lambda fresh: found.append(check(load_prepared(fresh))))
    return found[0]
