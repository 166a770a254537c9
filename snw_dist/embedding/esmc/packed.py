"""ESM C, packed: the forward pass of the protein language model without any padding.

Linear layers, norms, rotary embedding and SwiGLU run over all tokens of a batch; attention runs inside each sequence.
The language-model head is left out and only the layers asked for are kept. On a processor the tokens go through each
layer in blocks that stay in its cache.
Architecture: ESM Cambrian (EvolutionaryScale 2024; https://github.com/Biohub/esm), equal to the forward of the `esm`
package and of transformers' `EsmcModel`; the tests hold both against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from hpc.machine.transfer import sent
from snw_dist.embedding.esmc.attention import HEAD_SIZE, PackedLengths, attend
from snw_dist.embedding.esmc.linear import linear

TRAINED_CONTEXT = 2048  # tokens, BOS and EOS included
BLOCK_TOKENS = 512  # on a processor: q, k, v and the two halves of SwiGLU of a block fit its cache at every width
ROPE_THETA = 10000.0  # of the rotary embedding
VOCABULARY_ROWS = 64  # of the embedding table; 33 of them are tokens
BOS, EOS = 0, 2
_VOCABULARY = {letter: 4 + i for i, letter in enumerate("LAGVSERTIDPKQNFYMHWCXBUZO")}
_TOKEN_OF = torch.full((128,), -1, dtype=torch.int64)
_TOKEN_OF[[ord(letter) for letter in (*_VOCABULARY, "<", ">")]] = torch.tensor([*_VOCABULARY.values(), BOS, EOS])


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
    """[tokens of the alphabet, d_model]"""
    layers: tuple[EsmcLayer, ...]
    final_norm: torch.Tensor
    """[d_model]"""

    @property
    def d_model(self) -> int:
        """Width of the residual stream."""
        return int(self.embed.shape[-1])

    @property
    def shape(self) -> EsmcShape:
        """Its sizes."""
        return EsmcShape(self.d_model, len(self.layers), int(self.layers[0].down.shape[-1]))

    @property
    def num_heads(self) -> int:
        """See `EsmcShape`."""
        return self.shape.num_heads


@dataclass(frozen=True)
class EsmcShape:
    """Sizes of an ESM C."""

    d_model: int
    num_layers: int
    intermediate: int

    @property
    def num_heads(self) -> int:
        """Attention heads, of 64 channels each."""
        return self.d_model // HEAD_SIZE

    def blank(self) -> EsmcWeights:
        """Weights of these sizes, all zero, to be loaded into."""
        d, zeros = self.d_model, torch.zeros
        layers = tuple(
            EsmcLayer(
                zeros(d), zeros(d), zeros(3 * d, d), zeros(d), zeros(d), zeros(d, d),
                zeros(d), zeros(d), zeros(2 * self.intermediate, d), zeros(d, self.intermediate),
            )
            for _ in range(self.num_layers)
        )  # fmt: skip
        return EsmcWeights(zeros(VOCABULARY_ROWS, d), layers, zeros(d))

    def flops(self, lengths: Sequence[int], depth: int) -> int:
        """Floating-point operations of the matrix products of `depth` blocks over sequences of these tokens.

        2 for each multiply-add: the linear layers, and the scores and their product with v in the attention.
        """
        linear = 2 * sum(lengths) * (4 * self.d_model**2 + 3 * self.d_model * self.intermediate)
        attention = 4 * self.d_model * sum(length * length for length in lengths)
        return depth * (linear + attention)


def tokenize(sequences: Sequence[str]) -> tuple[torch.Tensor, list[int]]:
    """Token ids of cleaned sequences one after another, [tokens] int64, each with BOS and EOS; and their numbers.

    Raises `ValueError` at a letter outside the vocabulary, which the public tokenizers turn into `<unk>` silently.
    """
    if not sequences:
        raise ValueError("no sequence to tokenize")
    # One look-up for the whole batch: "<" and ">" stand for BOS and EOS, and no sequence may hold them.
    text = "".join(f"<{sequence}>" for sequence in sequences)
    codes = torch.frombuffer(bytearray(text, "ascii", "replace"), dtype=torch.uint8).long()
    tokens = _TOKEN_OF[codes]
    marks = [int((tokens == mark).sum()) for mark in (BOS, EOS)]
    if int((tokens < 0).sum()) or marks != [len(sequences)] * 2:
        raise ValueError(_what_is_wrong(sequences))
    return tokens, [len(sequence) + 2 for sequence in sequences]


def _what_is_wrong(sequences: Sequence[str]) -> str:
    for sequence in sequences:
        if not sequence.isascii():
            return f"letters outside ASCII in {sequence[:20]!r}"
        for position, letter in enumerate(sequence, start=1):
            if letter not in _VOCABULARY:
                return f"letter {letter!r} at position {position} is not an amino acid of ESM C"
    raise AssertionError(sequences)


Combine = Literal["concat", "mean"]


class Block:
    """One transformer block on its device, as two pure functions around the attention; under autograd if not packed."""

    def __init__(self, weights: EsmcLayer, scale: float, block_tokens: int | None) -> None:
        # Rotary embedding turns channels i and i + 32 of a head together. With q and k laid out so that they are
        # neighbours it is one complex product; the scores are sums over channels, whose order does not matter.
        heads = weights.out.shape[0] // HEAD_SIZE
        order = torch.arange(weights.out.shape[0], device=weights.out.device)
        order = order.view(heads, 2, HEAD_SIZE // 2).transpose(1, 2).reshape(-1)
        q, k, v = weights.qkv.chunk(3)
        gate, up = weights.gate_up.chunk(2)
        self._norm = weights.norm_weight, weights.norm_bias
        self._q, self._k, self._v = (linear(w, block_tokens) for w in (q[order], k[order], v))
        self._q_norm, self._k_norm = weights.q_norm[order], weights.k_norm[order]
        self._out = linear(weights.out / scale, block_tokens)
        self._mlp_norm = weights.mlp_norm_weight, weights.mlp_norm_bias
        self._gate, self._up = linear(gate, block_tokens), linear(up, block_tokens)
        self._down = linear(weights.down / scale, block_tokens)

    def project(self, x: torch.Tensor, rotation: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """q, k, v [tokens, d_model] of x [tokens, d_model]; rotation is [tokens, 1, 32] complex."""
        shape = x.shape[-1:]
        normed = F.layer_norm(x, shape, *self._norm)
        q = _rotate(F.layer_norm(self._q(normed), shape, self._q_norm), rotation)
        k = _rotate(F.layer_norm(self._k(normed), shape, self._k_norm), rotation)
        return q, k, self._v(normed)

    def update(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """The block's output from its input and its attention, each [tokens, d_model]."""
        x = self._out(context).add_(x)
        normed = F.layer_norm(x, x.shape[-1:], *self._mlp_norm)
        gated = F.silu(self._gate(normed), inplace=True).mul_(self._up(normed))
        return self._down(gated).add_(x)


def numbered(layers: Sequence[int], num_layers: int) -> list[int]:
    """The chosen layers, 0 (embedding) to `num_layers`, for which -1 stands too; raises `ValueError` at any other."""
    for layer in layers:
        if not -1 <= layer <= num_layers:
            raise ValueError(f"layer {layer} does not exist: 0 (embedding) to {num_layers}, or -1 for the last")
    chosen = [num_layers if layer == -1 else layer for layer in layers]
    if not layers or len(set(chosen)) < len(layers):
        raise ValueError(f"layers {list(layers)}: name at least one, and none twice")
    return chosen


class PackedEsmc:
    """Runs ESM C over a list of token sequences on one device, in one arithmetic."""

    def __init__(
        self,
        weights: EsmcWeights,
        device: torch.device,
        dtype: torch.dtype,
        layers: Sequence[int] = (-1,),
        combine: Combine = "concat",
    ) -> None:
        num_layers = len(weights.layers)
        self.layers, self.combine = numbered(layers, num_layers), combine

        def place(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.to(device=device, dtype=dtype).contiguous()

        self.shape = weights.shape
        self.depth = max(self.layers)
        self._num_layers = num_layers
        self._embed, self._final_norm = place(weights.embed), place(weights.final_norm)
        self._block_tokens = BLOCK_TOKENS if device.type == "cpu" else None
        scale = math.sqrt(num_layers / 36)
        self._blocks = [
            Block(EsmcLayer(**{k: place(v) for k, v in vars(block).items()}), scale, self._block_tokens)
            for block in weights.layers[: self.depth]
        ]
        self._inverse_frequency = inverse_frequencies(device)
        self.device, self.dtype = device, dtype

    @property
    def row_width(self) -> int:
        """Channels of the result: d_model, for each of several layers side by side."""
        return self.shape.d_model * (len(self.layers) if self.combine == "concat" else 1)

    @torch.inference_mode()
    def forward(self, tokens: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """States of the chosen layers, [tokens, row_width], of sequences of `lengths` tokens one after another.

        tokens: [sum of lengths] int64. The last layer includes the final norm. Sequences of equal length should be
        neighbours. The states of a sequence do not depend on the others; with oneDNN's layers not in a single bit.
        """
        packed = PackedLengths.of(lengths, self.device)
        rotation = rotation_of(sent(positions(lengths), self.device), self._inverse_frequency)
        x = self._embed[sent(tokens, self.device)]
        size = self._block_tokens
        buffers = [torch.empty_like(x) for _ in range(3)] if size else []
        states = {0: x.clone()} if 0 in self.layers else {}
        for depth, block in enumerate(self._blocks, start=1):
            if size:
                _in_blocks(block, x, rotation, packed, size, buffers)
            else:
                x = block.update(x, attend(*block.project(x, rotation), packed))
            if depth in self.layers:
                states[depth] = self._normed(x) if depth == self._num_layers else x.clone()
        return combined([states[layer] for layer in self.layers], self.combine)

    def _normed(self, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], self._final_norm)


def _in_blocks(
    block: Block,
    x: torch.Tensor,
    rotation: torch.Tensor,
    lengths: PackedLengths,
    size: int,
    buffers: Sequence[torch.Tensor],
) -> None:
    """One layer in place, `size` tokens at a time; `buffers` are for q, k and v and as large as x."""
    parts = [slice(start, start + size) for start in range(0, len(x), size)]
    for part in parts:
        for buffer, values in zip(buffers, block.project(x[part], rotation[part]), strict=True):
            buffer[part] = values
    context = attend(buffers[0], buffers[1], buffers[2], lengths)
    for part in parts:
        x[part] = block.update(x[part], context[part])


def combined(states: Sequence[torch.Tensor], combine: Combine) -> torch.Tensor:
    """The states [tokens, d_model] of the chosen layers as one: [tokens, row_width]."""
    if len(states) == 1:
        return states[0]
    return torch.cat(list(states), dim=-1) if combine == "concat" else torch.stack(list(states)).mean(0)


def positions(lengths: Sequence[int]) -> torch.Tensor:
    """0, 1, ... in each of the sequences of `lengths` tokens: [sum of lengths] int64."""
    each = torch.tensor(lengths)
    starts = each.cumsum(0) - each
    return torch.arange(int(each.sum())) - starts.repeat_interleave(each)


def inverse_frequencies(device: torch.device) -> torch.Tensor:
    """Of the rotary embedding: [32], float32 whatever the network computes in, as rounding them moves far residues."""
    exponents = torch.arange(0, HEAD_SIZE, 2, dtype=torch.float32) / HEAD_SIZE
    return (1.0 / ROPE_THETA**exponents).to(device)


def rotation_of(positions: torch.Tensor, inverse_frequency: torch.Tensor) -> torch.Tensor:
    """The rotations of the rotary embedding at `positions` [tokens]: [tokens, 1, 32] complex64."""
    angles = positions[:, None].float() * inverse_frequency
    return torch.polar(torch.ones_like(angles), angles)[:, None]


def _rotate(x: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """Rotary embedding (Su et al. 2021) in float32 of x [tokens, d_model], whose channel pairs are neighbours."""
    pairs = torch.view_as_complex(x.float().view(len(x), -1, HEAD_SIZE // 2, 2))
    return torch.view_as_real(pairs * rotation).view(x.shape).to(x.dtype)
