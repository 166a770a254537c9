"""Models by the name in the configuration, and what a size stands for."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from hpc.errors import InputError
from hpc.machine.memory import available_bytes
from snw_dist.config import ModelSection
from snw_dist.model.changeformer import ChangeFormer
from snw_dist.model.complex import ComplexEncoder
from snw_dist.model.cross_attention import CrossAttention
from snw_dist.model.pair_of_pairs import PairOfPairs
from snw_dist.model.pseudo_siamese import PseudoSiamese
from snw_dist.model.siamese import Siamese
from snw_dist.model.tower import ResidueEncoder, Tower
from snw_dist.model.triplet import Triplet


@dataclasses.dataclass(frozen=True)
class Size:
    """What stands for the settings of `model` that are null."""

    d_model: int
    num_heads: int
    num_conv_layers: int
    num_transformer_layers: int
    num_pooling_queries: int
    embedding_size: int


SIZES = {
    "light": Size(64, 4, 0, 0, 32, 32),
    "base": Size(128, 4, 1, 1, 32, 64),
    "large": Size(256, 8, 2, 4, 48, 128),
}


def size_of(section: ModelSection) -> Size:
    """The size by name with what is given in its place; raises `InputError` for heads that do not fit the width."""
    given = {field.name: getattr(section, field.name) for field in dataclasses.fields(Size)}
    size = dataclasses.replace(
        SIZES[section.size], **{name: value for name, value in given.items() if value is not None}
    )
    if size.d_model % size.num_heads:
        raise InputError(f"model.d_model {size.d_model} must be a multiple of model.num_heads {size.num_heads}")
    return size


def count_parameters(section: ModelSection, d_input: int) -> int:
    """Parameters of the network, without making it."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in _network(section, d_input).parameters())


def check_size(section: ModelSection, d_input: int, bytes_per_parameter: float = 4) -> None:
    """Raise `InputError` where the network is larger than the memory that this machine has left."""
    count, free = count_parameters(section, d_input), available_bytes(torch.device("cpu"))
    if count * bytes_per_parameter > free:
        raise InputError(
            f"the network has {count:,} parameters, {count * bytes_per_parameter / 1e9:,.1f} GB of memory, and "
            f"{free / 1e9:,.1f} GB are free. Make it smaller: model.size, model.d_model, model.num_conv_layers, "
            "model.num_transformer_layers, model.kernel_size, model.num_pooling_queries, model.embedding_size."
        )


def build_model(section: ModelSection, d_input: int, seed: int) -> nn.Module:
    """The network with weights that depend on `seed` alone, in float32 on the CPU.

    Raises `InputError` where it does not fit into memory.
    """
    check_size(section, d_input)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too, alike on all ranks
        return _network(section, d_input)


def _network(section: ModelSection, d_input: int) -> nn.Module:
    parts = _Parts(section, size_of(section), d_input)
    match section.name:
        case "siamese":
            return Siamese(parts.tower(), section.margin)
        case "pseudo_siamese":
            return PseudoSiamese(parts.tower(), parts.tower(), section.margin)
        case "triplet":
            return Triplet(parts.tower(), parts.tower())
        case "cross_attention":
            return CrossAttention(parts.complex_encoder(), parts.head(1))
        case "pair_of_pairs":
            size = parts.size.embedding_size
            return PairOfPairs(parts.complex_encoder(), parts.head(size), size, section.margin)
        case "changeformer":
            return parts.changeformer()


@dataclasses.dataclass(frozen=True)
class _Parts:
    """What the networks are put together from; each call makes a new part."""

    section: ModelSection
    size: Size
    d_input: int

    def tower(self) -> Tower:
        size = self.size
        encoder = self._residue_encoder(size.num_transformer_layers)
        return Tower(encoder, size.d_model, size.num_pooling_queries, size.embedding_size, self.section.dropout)

    def complex_encoder(self) -> ComplexEncoder:
        size = self.size
        return ComplexEncoder(
            self._residue_encoder(0),
            self._residue_encoder(0),
            size.d_model,
            size.num_heads,
            max(1, size.num_transformer_layers),
            size.num_pooling_queries,
            self.section.dropout,
        )

    def head(self, num_outputs: int) -> nn.Sequential:
        """From a complex, as it comes out of its encoder."""
        size, dropout = self.size, self.section.dropout
        width = size.num_pooling_queries * (size.d_model // 2)
        return nn.Sequential(
            nn.LayerNorm(width),
            nn.Dropout(dropout),
            nn.Linear(width, size.d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(size.d_model, num_outputs),
        )

    def changeformer(self) -> ChangeFormer:
        size = self.size
        return ChangeFormer(
            self.d_input,
            size.d_model,
            size.num_heads,
            size.num_transformer_layers,
            self.section.kernel_size,
            size.num_pooling_queries,
            self.section.dropout,
        )

    def _residue_encoder(self, num_transformer_layers: int) -> ResidueEncoder:
        size = self.size
        return ResidueEncoder(
            self.d_input,
            size.d_model,
            size.num_heads,
            size.num_conv_layers,
            num_transformer_layers,
            self.section.kernel_size,
            self.section.dropout,
        )
