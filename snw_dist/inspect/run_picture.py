"""The picture of the network of a run, from its configuration and its store."""

from __future__ import annotations

from pathlib import PurePath

from snw_dist.config import SnwConfig
from snw_dist.embedding.store.header import read_header
from snw_dist.inspect.picture import Input, network_svg

ENCODER = "ESM C"


def run_svg(config: SnwConfig) -> str:
    """See `network_svg`; raises `InputError` where there is no store yet."""
    return network_svg(config.model, run_input(config))


def run_input(config: SnwConfig, width: int | None = None, lengths: tuple[int, int] = (16, 256)) -> Input:
    """What goes into the network of a run: the rows of its store, or of the width that is given where there is none."""
    frozen = config.train.encoder_mode == "frozen"
    if width is not None:
        return Input(width, (ENCODER, PurePath(config.encoder.weights or config.encoder.name).name), frozen, *lengths)
    header = read_header(config.store_path)
    said = str(header.encoder["description"]).removeprefix(f"{ENCODER}, ")
    return Input(header.row_width, (ENCODER, said), frozen, *lengths)
