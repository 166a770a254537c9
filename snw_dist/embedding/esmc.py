"""ESM C, packed: the forward pass of the protein language model without any padding.

Linear layers, norms, rotary embedding and SwiGLU run over all tokens of a batch at once; attention runs per sequence,
sequences of equal length in one call. The language-model head is left out and only one layer's states are kept.
Architecture: ESM Cambrian (EvolutionaryScale 2024; https://github.com/Biohub/esm), equal to the forward of the `esm`
package and of transformers' `EsmcModel`; the tests hold both against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F

HEAD_SIZE = 64  # of every released ESM C: 960/15, 1152/18, 2560/40
TRAINED_CONTEXT = 2048  # tokens, BOS and EOS included
VOCABULARY_ROWS = 64  # of the embedding table; 33 of them are tokens
BOS, EOS = 0, 2
_VOCABULARY = {letter: 4 + i for i, letter in enumerate("LAGVSERTIDPKQNFYMHWCXBUZO")}
_TOKEN_OF = torch.full((128,), -1, dtype=torch.int64)
_TOKEN_OF[[ord(letter) for letter in _VOCABULARY]] = torch.tensor(list(_VOCABULARY.values()))


@dataclass(frozen=True)
class EsmcLayer:
    """Weights of one block; linear weights are [out, in] and have no bias."""

    norm_weight: torch.Tensor
    norm_bias: torch.Tensor
    qkv: torch.Tensor
    q_norm: torch.Tensor
    k_norm: torch.Tensor
    out: torch.Tensor
    mlp_norm_weight: torch.Tensor
    mlp_norm_bias: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


@dataclass(frozen=True)
class EsmcWeights:
    """Weights of ESM C without its language-model head."""

    embed: torch.Tensor
    layers: tuple[EsmcLayer, ...]
    final_norm: torch.Tensor

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.embed.shape[-1])

    @property
    def num_heads(self) -> int:
        """Attention heads, of 64 channels each."""
        return self.d_model // HEAD_SIZE


def tokenize(sequence: str) -> torch.Tensor:
    """Token ids of a cleaned sequence, [length + 2] int64 with BOS and EOS.

    Raises `ValueError` at a letter outside the vocabulary, which the public tokenizers turn into `<unk>` silently.
    """
    if not sequence.isascii():
        raise ValueError(f"letters outside ASCII in {sequence[:20]!r}")
    residues = _TOKEN_OF[torch.frombuffer(bytearray(sequence.encode("ascii")), dtype=torch.uint8).long()]
    if (residues < 0).any():
        position = int((residues < 0).nonzero()[0, 0])
        raise ValueError(f"letter {sequence[position]!r} at position {position + 1} is not an amino acid of ESM C")
    return torch.cat([torch.tensor([BOS]), residues, torch.tensor([EOS])])


class PackedEsmc:
    """Runs ESM C over a list of token sequences on one device, in one arithmetic."""

    def __init__(self, weights: EsmcWeights, device: torch.device, dtype: torch.dtype, layer: int = -1) -> None:
        num_layers = len(weights.layers)
        if not -1 <= layer <= num_layers:
            raise ValueError(f"layer {layer} does not exist: 0 (embedding) to {num_layers}, or -1 for the last")
        self._final = layer in (-1, num_layers)
        depth = num_layers if layer == -1 else layer

        def place(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device=device, dtype=dtype).contiguous()

        self.d_model, self._num_heads = weights.d_model, weights.num_heads
        self._scale = math.sqrt(num_layers / 36)
        self._embed, self._final_norm = place(weights.embed), place(weights.final_norm)
        self._layers = [EsmcLayer(**{k: place(v) for k, v in vars(block).items()}) for block in weights.layers[:depth]]
        exponents = torch.arange(0, HEAD_SIZE, 2, dtype=torch.float32) / HEAD_SIZE
        self._inverse_frequency = (1.0 / 10000.0**exponents).to(device)  # stays float32: rounding it moves far residues
        self._device, self._dtype = device, dtype

    @torch.inference_mode()
    def forward(self, tokens: Sequence[torch.Tensor]) -> torch.Tensor:
        """States of the chosen layer, [sum of lengths, d_model], in the order of `tokens` ([length] int64 each).

        The last layer includes the final norm. Sequences of equal length should be neighbours.
        """
        lengths = [len(item) for item in tokens]
        positions = torch.cat([torch.arange(length) for length in lengths]).to(self._device)
        angles = positions[:, None].float() * self._inverse_frequency
        cos, sin = (f(angles).to(self._dtype).repeat(1, 2)[:, None] for f in (torch.cos, torch.sin))
        x = self._embed[torch.cat(list(tokens)).to(self._device)]
        for layer in self._layers:
            x = x + self._attention(layer, x, lengths, cos, sin) / self._scale
            normed = F.layer_norm(x, (self.d_model,), layer.mlp_norm_weight, layer.mlp_norm_bias)
            gate, up = F.linear(normed, layer.gate_up).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, layer.down) / self._scale
        return F.layer_norm(x, (self.d_model,), self._final_norm) if self._final else x

    def _attention(
        self, layer: EsmcLayer, x: torch.Tensor, lengths: list[int], cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        normed = F.layer_norm(x, (self.d_model,), layer.norm_weight, layer.norm_bias)
        q, k, v = F.linear(normed, layer.qkv).chunk(3, dim=-1)
        q = F.layer_norm(q, (self.d_model,), layer.q_norm)
        k = F.layer_norm(k, (self.d_model,), layer.k_norm)
        q, k, v = (tensor.view(-1, self._num_heads, HEAD_SIZE) for tensor in (q, k, v.contiguous()))
        q, k = (tensor * cos + _rotate_half(tensor) * sin for tensor in (q, k))
        parts, start = [], 0
        for length, group in groupby(lengths):
            count = len(list(group))
            stop = start + count * length
            grouped = [t[start:stop].view(count, length, self._num_heads, HEAD_SIZE).transpose(1, 2) for t in (q, k, v)]
            context = F.scaled_dot_product_attention(grouped[0], grouped[1], grouped[2])
            parts.append(context.transpose(1, 2).reshape(count * length, self.d_model))
            start = stop
        return F.linear(torch.cat(parts), layer.out)


def _rotate_half(x: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.cat([-second, first], dim=-1)
