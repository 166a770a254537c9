"""ESM C, packed: the forward pass of the protein language model without any padding.

Linear layers, norms, rotary embedding and SwiGLU run over all tokens of a batch; attention runs inside each sequence.
Only the layers asked for are kept. Equal to the forward of the `esm` package and of transformers' `EsmcModel`; the
tests hold both against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, Protocol

import torch

from hpc.machine.transfer import sent
from snw_dist.embedding.esmc.architecture import EsmcLayer, EsmcWeights
from snw_dist.embedding.esmc.attention import PackedLengths, positions
from snw_dist.embedding.esmc.kernels import has_fused_kernels
from snw_dist.embedding.esmc.plain import PlainStack

TRAINED_CONTEXT = 2048  # tokens, BOS and EOS included
BOS, EOS = 0, 2
_VOCABULARY = {letter: 4 + i for i, letter in enumerate("LAGVSERTIDPKQNFYMHWCXBUZO")}
_TOKEN_OF = torch.full((128,), -1, dtype=torch.int64)
_TOKEN_OF[[ord(letter) for letter in (*_VOCABULARY, "<", ">")]] = torch.tensor([*_VOCABULARY.values(), BOS, EOS])


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


def numbered(layers: Sequence[int], num_layers: int) -> list[int]:
    """The chosen layers, 0 (embedding) to `num_layers`, for which -1 stands too; raises `ValueError` at any other."""
    for layer in layers:
        if not -1 <= layer <= num_layers:
            raise ValueError(f"layer {layer} does not exist: 0 (embedding) to {num_layers}, or -1 for the last")
    chosen = [num_layers if layer == -1 else layer for layer in layers]
    if not layers or len(set(chosen)) < len(layers):
        raise ValueError(f"layers {list(layers)}: name at least one, and none twice")
    return chosen


class Stack(Protocol):
    """Blocks of ESM C on their device, in one arithmetic."""

    def states(self, x: torch.Tensor, places: torch.Tensor, lengths: PackedLengths) -> Iterator[torch.Tensor]:
        """What each block makes of x [tokens, d_model], tokens at `places` [tokens] of their sequences.

        Each is [tokens, d_model] and is overwritten when the next is asked for, as x is. The last one is normed where
        the stack has a final norm.
        """


def stack_of(
    layers: Iterable[EsmcLayer],
    final_norm: torch.Tensor | None,
    scale: float,
    device: torch.device,
    dtype: torch.dtype,
) -> Stack:
    """The fastest blocks for weights of this type on this device; each adds its change divided by `scale`.

    final_norm: [d_model], of the norm behind the last block; None where that is not the last of the model.
    """
    if has_fused_kernels(device, dtype):
        from snw_dist.embedding.esmc.fused_stack import FusedStack

        return FusedStack(layers, final_norm, scale, device)
    return PlainStack(layers, final_norm, scale, device)


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
        self._embed = place(weights.embed)
        # One by one: a stack may keep another form of a layer, and there is no room for both of all layers.
        blocks = (EsmcLayer(**{k: place(v) for k, v in vars(layer).items()}) for layer in weights.layers[: self.depth])
        final_norm = place(weights.final_norm) if self.depth == num_layers else None
        self._stack = stack_of(blocks, final_norm, math.sqrt(num_layers / 36), device, dtype)
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
        x = self._embed[sent(tokens, self.device)]
        states = {0: x.clone()} if 0 in self.layers else {}
        places = sent(positions(lengths), self.device)
        for depth, state in enumerate(self._stack.states(x, places, packed), start=1):
            if depth in self.layers:
                states[depth] = state.to(self.dtype, copy=depth < self.depth)
        return combined([states[layer] for layer in self.layers], self.combine)


def combined(states: Sequence[torch.Tensor], combine: Combine) -> torch.Tensor:
    """The states [tokens, d_model] of the chosen layers as one: [tokens, row_width]."""
    if len(states) == 1:
        return states[0]
    return torch.cat(list(states), dim=-1) if combine == "concat" else torch.stack(list(states)).mean(0)
