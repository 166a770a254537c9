"""How large the benchmark of one device is."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, replace
from typing import Literal

import torch

from snw_dist.embedding.encoder import Encoder, build_encoder
from snw_dist.embedding.weights.read import LoadedWeights, tiny_random_weights
from tests.bench.natural import INNER, LAYERS_300M, WIDTH

PRECISIONS = ("fp32", "bf16")  # of the training


@dataclass(frozen=True)
class Scale:
    """What is measured, and on which device."""

    device: Literal["cpu", "cuda"]
    shape: tuple[int, int, int]
    """Of the encoder: width, layers, inner width."""
    tokens: tuple[int, ...]
    """In a batch of the forward pass alone."""
    passes: int
    """Most batches of one size, all of them different."""
    profiled_tokens: int
    sequences: int
    """For the encoder and its peers; a fifth are repeats."""
    job_sequences: int
    inputs: tuple[str, ...]
    """Of the training."""
    pairs_per_step: int
    steps: int
    """With new pairs each, and then again with the same."""
    file_steps: int
    """Of the peers that read files: more than an epoch, or what the workers read ahead would count as speed."""
    repeats: int
    """How often the same steps come again; likewise every figure of the encoder."""
    model: tuple[tuple[str, int], ...] = ()
    """Settings of the network that is trained, beside the defaults."""
    peers: bool = True

    @property
    def place(self) -> torch.device:
        """The device."""
        return torch.device(self.device, 0) if self.device == "cuda" else torch.device("cpu")

    @property
    def threads(self) -> int:
        """Of a rank; a GPU has some processors, a processor is often shared with other tests."""
        return min(8, os.cpu_count() or 1) if self.device == "cuda" else 1

    @property
    def dtype(self) -> torch.dtype:
        """What the encoder computes in."""
        return torch.bfloat16 if self.device == "cuda" else torch.float32

    def alone(self) -> Scale:
        """Without the peers."""
        return replace(self, peers=False)


FULL = Scale(
    device="cuda", shape=(WIDTH, LAYERS_300M, INNER), tokens=(4096, 16384, 32768, 65536), passes=8,
    profiled_tokens=32768, sequences=2048, job_sequences=4096, inputs=("pep_receptor", "mhc_binding"),
    pairs_per_step=128, steps=12, file_steps=16, repeats=2,
)  # fmt: skip
TINY = Scale(
    device="cpu", shape=(128, 2, 256), tokens=(512, 1024), passes=2,
    profiled_tokens=512, sequences=12, job_sequences=40, inputs=("pep_receptor",),
    pairs_per_step=4, steps=2, file_steps=1, repeats=1,
    model=(("d_model", 16), ("num_conv_layers", 1), ("num_transformer_layers", 1), ("embedding_size", 16)),
)  # fmt: skip
"""To see on a processor that the benchmark still runs; its figures say nothing."""


@functools.cache
def random_weights(shape: tuple[int, int, int]) -> LoadedWeights:
    """ESM C of that shape with random weights; made once, as 300M take some seconds."""
    return tiny_random_weights(*shape)


def encoder_of(scale: Scale) -> Encoder:
    """Ours on the device."""
    precision: Literal["fp32", "bf16"] = "bf16" if scale.dtype == torch.bfloat16 else "fp32"
    return build_encoder(
        "esmc-tiny-random", random_weights(scale.shape), scale.place, precision, [-1], "concat", max(scale.tokens)
    )


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget(device: torch.device) -> None:
    """Give back the memory that torch keeps for later."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
