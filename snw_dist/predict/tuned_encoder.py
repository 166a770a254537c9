"""ESM C in front of a pair network, trained with it: from the weights that made the store, or as an export needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from hpc.errors import InputError
from snw_dist.config import SnwConfig
from snw_dist.embedding.encoder import load_encoder_weights
from snw_dist.embedding.esmc.architecture import EsmcWeights
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT
from snw_dist.embedding.esmc.tunable import TunableEsmc
from snw_dist.embedding.row_reader import RowReader
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.embedding.weights.read import LoadedWeights
from snw_dist.model.build import build_model
from snw_dist.model.encoded import Encoded


def network_of(config: SnwConfig, header: StoreHeader) -> tuple[nn.Module, dict[str, Any]]:
    """The network of a run as it begins, and what its export must say of it beside the configuration."""
    network = build_model(config.model, header.row_width, config.run.seed)
    if config.train.encoder_mode == "frozen":
        return network, {}
    network, facts = tuned_network(network, config, header)
    return network, {"tuned_encoder": facts}


def tuned_network(network: nn.Module, config: SnwConfig, header: StoreHeader) -> tuple[Encoded, dict[str, Any]]:
    """The network with the encoder of the store in front, and what its export must say of it (`tuned_encoder`)."""
    loaded = weights_of_store(config, header)
    rank = config.train.lora_rank if config.train.encoder_mode == "lora" else None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.run.seed)
        encoded = with_encoder(network, loaded.weights, header.encoder, rank)
    return encoded, {"shape": dataclasses.asdict(loaded.weights.shape), "rank": rank}


def weights_of_store(config: SnwConfig, header: StoreHeader) -> LoadedWeights:
    """The encoder of the configuration; raises `InputError` when it is not the one that made the store."""
    encoder = config.encoder
    loaded = load_encoder_weights(encoder.name, encoder.weights, encoder.revision, encoder.sha256)
    if loaded.sha256 != header.encoder["weights_sha256"]:
        raise InputError(
            f"train.encoder_mode {config.train.encoder_mode!r}: the encoder of the configuration ({loaded.source}, "
            f"SHA-256 {loaded.sha256[:12]}) did not make the store ({header.encoder['description']}, "
            f"{header.encoder['weights_sha256'][:12]}). Name the same one."
        )
    return loaded


def with_encoder(network: nn.Module, weights: EsmcWeights, encoder: Mapping[str, Any], rank: int | None) -> Encoded:
    """Put ESM C in front of a network, with the layers that `encoder` says; with `rank` it has low-rank updates."""
    return Encoded(TunableEsmc(weights, encoder["layers"], encoder["combine"], rank), network)


def check_lengths(reader: RowReader, max_length: int) -> None:
    """Raise `InputError` when a sequence does not fit the encoder; the store takes such ones in overlapping windows."""
    longest, context = int(reader.lengths.max()), TRAINED_CONTEXT - 2
    if min(longest, max_length) > context:
        raise InputError(
            f"train.encoder_mode: a sequence of {longest:,} residues, but ESM C was trained on {context:,}. Set "
            f"model.max_length to {context} or less to crop, or use 'frozen', where the store holds windows."
        )
