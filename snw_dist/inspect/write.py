"""Pictures of networks in files."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from rich.table import Table

from hpc.disk.files import atomic_write_bytes
from hpc.errors import InputError
from hpc.told import tell
from snw_dist.config import ModelName, SnwConfig, config_from_dict
from snw_dist.inspect.picture import Input, name_of, network_svg, picture, seen
from snw_dist.inspect.run_picture import ENCODER, run_input
from snw_dist.model.build import build_model

_ENCODERS = {960: "300M", 1152: "600M", 2560: "6B"}
"""Widths of the ESM C that there are."""


def write_run(config: SnwConfig, to: Path, width: int | None, lengths: tuple[int, int]) -> tuple[Table, str]:
    """Draw the network of a run into a file, and return the tables of its blocks and of its layers.

    `width`: see `run_input`; `lengths`: of the ligand and of the receptor that operations are told for. Raises
    `InputError` where there is neither a width nor a store.
    """
    from snw_dist.inspect.table import blocks_table, layers_table  # the pictures do without torchinfo

    try:
        given = run_input(config, width, lengths)
    except InputError as error:
        raise InputError(f"{error}. Or say how many numbers a row will have: --width 960") from None
    network = build_model(config.model, given.width, seed=0)
    diagram = seen(network, given)
    _write(to, picture(diagram, name_of(config.model), given))
    return blocks_table(diagram), layers_table(network)


def write_all(folder: Path, size: str, width: int | None, lengths: tuple[int, int]) -> None:
    """Draw every network into `folder`, by its name; `width` is that of ESM C 300M where none is given."""
    width = width or 960
    given = Input(width, (f"{ENCODER} {_ENCODERS.get(width, '')}".rstrip(),), True, *lengths)
    for name in get_args(ModelName):
        model = config_from_dict({"model": {"name": name, "size": size}}, "--size").model
        _write(folder / f"{name}.svg", network_svg(model, given))


def _write(to: Path, svg: str) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    atomic_write_bytes(to, svg.encode())
    tell(f"picture of the network: {to}")
