"""ESM C as a network to be trained: the packed forward of `esmc` over parameters, in whole or by low-rank updates.

Each block makes the very functions that fill the store from its own weights, so a network that is trained no further
than step 0 sees the rows of the store. Its activations are computed again in the backward pass (Chen et al. 2016), and
its parameters are gathered block by block under ZeRO-3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from hpc.machine.operations import counted
from snw_dist.embedding.esmc.architecture import EsmcLayer, EsmcWeights
from snw_dist.embedding.esmc.attention import PackedLengths, attend
from snw_dist.embedding.esmc.packed import BOS, EOS, Combine, combined
from snw_dist.embedding.esmc.plain import Block, inverse_frequencies, rotation_of

ADAPTED = {"q": "qkv", "k": "qkv", "v": "qkv", "out": "out"}
"""What `lora` updates, and the weight each is a part of."""


class LowRank(nn.Module):
    """An update `up @ down` of a weight [out, in], of rank `rank`; zero at first (LoRA, Hu et al. 2022)."""

    def __init__(self, out_size: int, in_size: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(rank, in_size) / math.sqrt(in_size))
        self.up = nn.Parameter(torch.zeros(out_size, rank))

    def forward(self) -> torch.Tensor:
        """The update, [out, in]."""
        return self.up @ self.down


class TunableBlock(nn.Module):
    """One transformer block: without `rank` all its weights are trained, else low-rank updates of q, k, v and out."""

    def __init__(self, weights: EsmcLayer, scale: float, rank: int | None) -> None:
        super().__init__()
        self.scale = scale
        for name, tensor in vars(weights).items():
            self.register_parameter(name, nn.Parameter(_full(tensor), requires_grad=rank is None))
        width = weights.out.shape[0]
        updates = {} if rank is None else {name: LowRank(width, width, rank) for name in ADAPTED}
        self.updates = nn.ModuleDict(updates)

    def forward(self, x: torch.Tensor, rotation: torch.Tensor, lengths: PackedLengths) -> torch.Tensor:
        """[tokens, d_model] -> the same."""
        weights = {field.name: getattr(self, field.name) for field in dataclasses.fields(EsmcLayer)}
        if self.updates:
            weights["qkv"] = weights["qkv"] + torch.cat([self.updates[name]() for name in "qkv"])
            weights["out"] = weights["out"] + self.updates["out"]()
        block = Block(EsmcLayer(**weights), self.scale, None)
        q, k, v = block.project(x, rotation)
        return block.update(x, attend(q, k, v, lengths))


class TunableEsmc(nn.Module):
    """Residues of whole sequences as numbers -> the states that the store would hold of them."""

    def __init__(self, weights: EsmcWeights, layers: Sequence[int], combine: Combine, rank: int | None) -> None:
        super().__init__()
        self.layers, self.combine, self.num_layers = list(layers), combine, len(weights.layers)
        trained = rank is None
        self.row_width = weights.d_model * (len(layers) if combine == "concat" else 1)
        """Channels of the result: d_model, for each of several layers side by side."""
        self.embed = nn.Parameter(_full(weights.embed), requires_grad=trained)
        self.final_norm = nn.Parameter(_full(weights.final_norm), requires_grad=trained)
        scale = math.sqrt(self.num_layers / 36)
        self.blocks = nn.ModuleList(TunableBlock(block, scale, rank) for block in weights.layers[: max(layers)])

    def forward(self, *sides: tuple[torch.Tensor, torch.Tensor]) -> list[torch.Tensor]:
        """Each side: residues [sequences, length] int64 and a mask of them, bool, true at residues, which come first.

        Returns [sequences, length, row_width] of each side, zero in the padding, for which nothing is computed. One
        pass over all sides, so that ZeRO-3 gathers each block once.
        """
        packed = [_Packed.of(residues, mask) for residues, mask in sides]
        x = self._states(
            torch.cat([side.tokens for side in packed]),
            torch.cat([side.positions for side in packed]),
            [length for side in packed for length in side.lengths],
        )
        parts = torch.split(x, [len(side.tokens) for side in packed])
        return [side.unpacked(rows, mask) for side, rows, (_, mask) in zip(packed, parts, sides, strict=True)]

    def operations(self, length: int) -> int:
        """Those that one more sequence of so many residues needs, forward and backward, see `counted`.

        What is computed again to save memory is not needed, and updates of low rank are made once for all sequences.
        """
        if not self.blocks:
            return 0
        one, two = (_operations(self.blocks[0], number * [length + 2]) for number in (1, 2))  # with BOS and EOS
        return len(self.blocks) * (two - one)

    def _states(self, tokens: torch.Tensor, positions: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        """Packed: tokens and their positions [tokens] -> [tokens, row_width]."""
        packed = PackedLengths.of(lengths, tokens.device)
        rotation = rotation_of(positions, inverse_frequencies(tokens.device))
        x = F.embedding(tokens, self.embed)
        states = {0: x}
        for depth, block in enumerate(self.blocks, start=1):
            x = self._block(block, x, rotation, packed)
            states[depth] = F.layer_norm(x, x.shape[-1:], self.final_norm) if depth == self.num_layers else x
        return combined([states[layer] for layer in self.layers], self.combine)

    def _block(self, block: nn.Module, *inputs: Any) -> torch.Tensor:
        if not torch.is_grad_enabled():
            states: torch.Tensor = block(*inputs)
            return states
        x, *others = inputs
        if not x.requires_grad:  # below the first update; the checkpoint takes a gradient from its input alone
            x = x.detach().requires_grad_()
        # Reentrant, because the other form compares the shapes of parameters, which under ZeRO-3 come and go.
        again: torch.Tensor = checkpoint(block, x, *others, use_reentrant=True, preserve_rng_state=False)
        return again


def _operations(block: nn.Module, lengths: Sequence[int]) -> int:
    """Of a block over sequences of so many tokens; on the `meta` device, so that nothing is copied or computed."""
    meta = torch.device("meta")
    weights = {
        name: torch.empty_like(weight, device=meta).requires_grad_(weight.requires_grad)
        for name, weight in block.named_parameters()
    }
    x = torch.empty(sum(lengths), len(weights["norm_weight"]), device=meta, requires_grad=True)
    rotation = rotation_of(torch.arange(len(x), device=meta), inverse_frequencies(meta))
    wanted = [item for item in (x, *weights.values()) if item.requires_grad]
    with torch.enable_grad(), counted() as counter:
        made = torch.func.functional_call(block, weights, (x, rotation, PackedLengths.of(lengths, meta)))
        torch.autograd.grad(made, wanted, torch.ones_like(made))
    return counter.total


def _full(weight: torch.Tensor) -> torch.Tensor:
    """A copy in float32, as all parameters are before DeepSpeed rounds them to `train.precision`.

    Files of 16 bits give other types, which do not multiply with the updates, and in which small steps are lost.
    """
    return weight.to(torch.float32, copy=True)


@dataclasses.dataclass(frozen=True)
class _Packed:
    """The tokens of one side without padding, each sequence with BOS and EOS, short ones first."""

    tokens: torch.Tensor
    positions: torch.Tensor
    lengths: list[int]
    order: torch.Tensor
    inner: torch.Tensor
    """[tokens] bool: which are residues."""

    @staticmethod
    def of(residues: torch.Tensor, mask: torch.Tensor) -> _Packed:
        """Put BOS and EOS around the residues of each sequence and leave the padding out."""
        number = mask.sum(dim=1)
        order = number.argsort(stable=True)  # equal lengths become neighbours, as `attend` likes them
        last = number[order, None] + 1
        places = torch.arange(mask.shape[1] + 2, device=mask.device).expand(len(mask), -1)
        inner, present = (places > 0) & (places < last), places <= last
        tokens = F.pad(residues[order], (1, 1)).masked_fill(~inner, EOS).masked_fill(places == 0, BOS)
        return _Packed(tokens[present], places[present], (number[order] + 2).tolist(), order, inner[present])

    def unpacked(self, rows: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """[tokens, width] -> [sequences, length, width], in the order of `mask`."""
        padded = rows.new_zeros(*mask.shape, rows.shape[1])
        return padded.masked_scatter(mask[self.order][..., None], rows[self.inner])[self.order.argsort()]
