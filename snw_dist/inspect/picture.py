"""The picture of a network, from its settings."""

from __future__ import annotations

from dataclasses import dataclass, fields

from torch import nn

from hpc.amounts import short
from snw_dist.config import ModelSection
from snw_dist.inspect.amounts import short_text
from snw_dist.inspect.diagram import Diagram, diagram_of
from snw_dist.inspect.placing import Heading, scene_of
from snw_dist.inspect.svg import svg
from snw_dist.inspect.symbols import Symbols, two_batches
from snw_dist.inspect.trace import trace
from snw_dist.model.build import SIZES, build_model

SIZE_SETTINGS = tuple(field.name for field in fields(SIZES["base"]))


@dataclass(frozen=True)
class Input:
    """What goes into a network: the width of a stored row, who made it, and the lengths of the pair."""

    width: int
    encoder: tuple[str, ...]
    """Name of the encoder, and a line about it where there is one."""
    frozen: bool = True
    ligand_length: int = 16
    receptor_length: int = 256


def network_svg(section: ModelSection, given: Input) -> str:
    """The network that these settings name, as the text of an SVG file: light, and dark where the page is.

    Raises `InputError` where the settings do not fit each other, or the network does not fit into memory.
    """
    return picture(seen(build_model(section, given.width, seed=0), given), name_of(section), given)


def name_of(section: ModelSection) -> str:
    """What a network is called in its picture: name and size, and whether it has settings of its own."""
    own = [name for name in SIZE_SETTINGS if getattr(section, name) is not None]
    return f"{section.name}, {section.size}{' with own settings' if own else ''}"


def picture(diagram: Diagram, name: str, given: Input) -> str:
    """Likewise of what was seen; `name`: what it is called in the picture."""
    below = (
        f"{diagram.num_parameters:,} parameters",
        f"{short(diagram.flops, 'FLOP')} for a pair of a ligand of {given.ligand_length:,} residues "
        f"and a receptor of {given.receptor_length:,}",
    )
    state = "frozen: its rows are read from the store" if given.frozen else "trained too"
    title, *details = given.encoder
    encoder = (title, *(short_text(detail) for detail in details), f"{given.width:,} numbers a residue; {state}")
    foot = (
        "L: residues of a sequence. N: different ligands or receptors, or pairs, of a batch.",
        "FLOP: one multiplication or one addition. Last line of a box: what it holds and computes.",
    )
    return svg(scene_of(diagram, Heading(name, below, encoder, foot)))


def seen(network: nn.Module, given: Input) -> Diagram:
    """What is to be drawn of a network: it runs twice on a small batch of random embeddings."""
    one, other = two_batches(given.ligand_length, given.receptor_length)
    first, second = (trace(network, *batch.sides(given.width)) for batch in (one, other))
    return diagram_of(network, first, second, Symbols(one, other))
