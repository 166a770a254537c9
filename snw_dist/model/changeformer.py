"""ChangeFormer (Bandara & Patel 2022) in one dimension, with ligand and receptor for the two images.

One hierarchical transformer encoder reads both; each stage is half as long as the one before. At each scale a module
learns what differs, from coarse to fine, and a light decoder of linear layers fuses the scales. Two images lie on one
grid, two sequences do not: each scale is therefore first resampled to a fixed number of places along the sequence, by
the pooling of the towers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from snw_dist.model.blocks import AttentionPooling, ConvBlock, Convolution, InputProjection, TransformerBlock
from snw_dist.model.pair import PairNetwork, PairOutput, Parts, Side

NUM_STAGES = 3


class ChangeFormer(PairNetwork):
    """A classifier; the differences are learned from both sides next to each other, so swapping changes the score."""

    def __init__(
        self, d_input: int, d_model: int, num_heads: int, num_blocks: int, kernel_size: int, places: int, dropout: float
    ) -> None:
        super().__init__()
        self.input = InputProjection(d_input, d_model)
        self.stages = nn.ModuleList(
            Stage(d_model, num_heads, num_blocks, kernel_size, dropout, shrink=number > 0)
            for number in range(NUM_STAGES)
        )
        self.grids = nn.ModuleList(
            AttentionPooling(d_model, max(1, places >> number), d_model) for number in range(NUM_STAGES)
        )
        self.differences = nn.ModuleList(Difference(d_model) for _ in range(NUM_STAGES))
        self.decoder = Decoder(d_model, places, dropout)

    def ligands(self, side: Side) -> Parts:
        """Each on the grid of each scale, fine to coarse: [num_distinct, places, d_model]."""
        return self._scales(side.states, side.mask)

    def receptors(self, side: Side) -> Parts:
        """Likewise."""
        return self._scales(side.states, side.mask)

    def pairs(self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor) -> PairOutput:
        """See `PairModel`; `left`, `right`: [num_pairs]."""
        ligands, receptors = [scale[left] for scale in ligand], [scale[right] for scale in receptor]
        differences: list[torch.Tensor] = []
        for number in reversed(range(NUM_STAGES)):
            found = self.differences[number](ligands[number], receptors[number])
            differences.append(found + resized(differences[-1], found.shape[1]) if differences else found)
        logit: torch.Tensor = self.decoder(differences).float()
        return PairOutput(logit.sigmoid(), logit=logit)

    def _scales(self, states: torch.Tensor, mask: torch.Tensor) -> Parts:
        x, scales = self.input(states, mask), []
        for stage, grid in zip(self.stages, self.grids, strict=True):
            x, mask = stage(x, mask)
            scales.append(grid(x, mask))
        return tuple(scales)


class Stage(nn.Module):
    """One scale of the encoder: every second residue (but in the first), neighbours, then all residues."""

    def __init__(
        self, d_model: int, num_heads: int, num_blocks: int, kernel_size: int, dropout: float, shrink: bool
    ) -> None:
        super().__init__()
        self.merge = Convolution(d_model, d_model, 3, stride=2, padding=1) if shrink else None
        self.local = ConvBlock(d_model, kernel_size, dropout)
        self.blocks = nn.ModuleList(TransformerBlock(d_model, num_heads, dropout) for _ in range(num_blocks))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """[batch, length, d_model] and its mask -> the same of this scale."""
        if self.merge is not None:
            x = self.merge(x.masked_fill(~mask[..., None], 0.0).transpose(1, 2)).transpose(1, 2)
            mask = mask[:, ::2]
        x = self.local(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return x, mask


class Difference(nn.Module):
    """What differs between two sides at one scale: convolutions over both, one on top of the other."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.compare = Convolution(2 * d_model, d_model, 3, padding=1)
        self.norm = nn.LayerNorm(d_model)
        self.refine = Convolution(d_model, d_model, 3, padding=1)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """[num_pairs, places, d_model] twice -> the same."""
        compared = F.relu(self.compare(torch.cat([one, other], dim=-1).transpose(1, 2)))
        return F.relu(self.refine(self.norm(compared.transpose(1, 2)).transpose(1, 2))).transpose(1, 2)


class Decoder(nn.Module):
    """A linear layer for each scale, all brought to the finest grid, fused; then one logit."""

    def __init__(self, d_model: int, places: int, dropout: float) -> None:
        super().__init__()
        self.places = places
        self.linear = nn.ModuleList(nn.Linear(d_model, d_model) for _ in range(NUM_STAGES))
        self.fuse = nn.Sequential(nn.Linear(NUM_STAGES * d_model, d_model // 2), nn.GELU(), nn.Dropout(dropout))
        self.predict = nn.Linear(places * (d_model // 2), 1)

    def forward(self, differences: list[torch.Tensor]) -> torch.Tensor:
        """Coarse to fine, [num_pairs, places of the scale, d_model] each -> [num_pairs]."""
        scales = [resized(layer(x), self.places) for layer, x in zip(self.linear, differences, strict=True)]
        logit: torch.Tensor = self.predict(self.fuse(torch.cat(scales, dim=-1)).flatten(1))
        return logit.squeeze(-1)


def resized(x: torch.Tensor, places: int) -> torch.Tensor:
    """[num_pairs, any number of places, d_model] -> [num_pairs, places, d_model], linearly interpolated."""
    return F.interpolate(x.transpose(1, 2), size=places, mode="linear").transpose(1, 2)
