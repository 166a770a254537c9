"""From sequences to rows: the encoder of a configuration, with what every result must say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from hpc.errors import InputError
from snw_dist.embedding.esmc import TRAINED_CONTEXT, PackedEsmc, tokenize
from snw_dist.embedding.plan import token_batches, windows
from snw_dist.embedding.weights import LoadedWeights, load_weights, tiny_random_weights

WINDOW_OVERLAP = 512


@dataclass(frozen=True)
class Encoder:
    """An encoder on its device."""

    model: PackedEsmc
    facts: dict[str, Any]
    """Name, description, weights, weights_sha256, layer, arithmetic, window; stored with every result."""
    tokens_per_batch: int

    def embed(self, sequences: Sequence[str]) -> NDArray[np.float32]:
        """Rows of the residues of `sequences`, one after another: [sum of lengths, d_model] float32.

        Sequences longer than the trained context go through in overlapping windows (`plan.windows`).
        """
        rows: list[NDArray[np.float32]] = []
        for batch in token_batches([len(s) for s in sequences], self.tokens_per_batch):
            cut = [
                (s, w)
                for i in batch
                for s in [sequences[i]]
                for w in windows(len(s), TRAINED_CONTEXT - 2, WINDOW_OVERLAP)
            ]
            for group in token_batches([w.stop - w.start for _, w in cut], self.tokens_per_batch):
                pieces = [cut[i] for i in group]
                states = self.model.forward([tokenize(s[w.start : w.stop]) for s, w in pieces]).float().cpu().numpy()
                start = 0
                for _, window in pieces:
                    first = start + 1 - window.start  # BOS comes before the first residue of the window
                    rows.append(states[first + window.keep_start : first + window.keep_stop])
                    start += window.stop - window.start + 2
        return np.concatenate(rows)


def load_encoder_weights(name: str, weights: str | None, revision: str | None, sha256: str | None) -> LoadedWeights:
    """Weights by encoder name; raises `InputError` when the configuration is contradictory."""
    if name == "esmc-tiny-random":
        if weights is not None:
            raise InputError(
                "encoder.weights is given but encoder.name is 'esmc-tiny-random': set encoder.name to 'esmc'."
            )
        return tiny_random_weights()
    if weights is None:
        raise InputError(
            "encoder.name is 'esmc' but encoder.weights is not given: a .pth file, a transformers folder or a hub id."
        )
    return load_weights(weights, revision, sha256)


def build_encoder(
    name: str,
    loaded: LoadedWeights,
    device: torch.device,
    precision: Literal["auto", "fp32", "bf16"],
    layer: int,
    tokens_per_batch: int,
) -> Encoder:
    """Put the weights on a device; `auto` computes in bf16 on CUDA and in fp32 on a CPU (bf16 is slow there)."""
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    try:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        model = PackedEsmc(loaded.weights, device, dtype, layer)
    except ValueError as error:
        raise InputError(f"encoder.layer: {error}") from None
    random = name == "esmc-tiny-random"
    width, depth = loaded.weights.d_model, len(loaded.weights.layers)
    facts = {
        "name": name,
        "description": f"ESM C, {depth} layers of {width}, "
        + ("RANDOM weights (demonstration)" if random else loaded.source),
        "weights": loaded.source,
        "weights_sha256": loaded.sha256,
        "layer": layer,
        "arithmetic": precision,
        "window_residues": TRAINED_CONTEXT - 2,
        "window_overlap": WINDOW_OVERLAP,
    }
    return Encoder(model, facts, tokens_per_batch)
