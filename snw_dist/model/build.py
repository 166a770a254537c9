"""Models by the name in the configuration."""

from __future__ import annotations

import torch
from torch import nn

from hpc.errors import InputError
from snw_dist.config import ModelSection
from snw_dist.model.pseudo_siamese import PseudoSiamese
from snw_dist.model.siamese import Siamese
from snw_dist.model.tower import Tower


def build_model(section: ModelSection, d_input: int, seed: int) -> nn.Module:
    """The network with weights that depend on `seed` alone, in float32 on the CPU."""
    if section.d_model % section.num_heads:
        raise InputError(f"model.d_model {section.d_model} must be a multiple of model.num_heads {section.num_heads}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too, alike on all ranks
        if section.name == "siamese":
            return Siamese(_tower(section, d_input), section.margin)
        return PseudoSiamese(_tower(section, d_input), _tower(section, d_input), section.margin)


def _tower(section: ModelSection, d_input: int) -> Tower:
    return Tower(
        d_input,
        section.d_model,
        section.num_heads,
        section.num_conv_layers,
        section.num_transformer_layers,
        section.kernel_size,
        section.num_pooling_queries,
        section.embedding_size,
        section.dropout,
    )
