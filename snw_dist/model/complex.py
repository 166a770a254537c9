"""One complex of ligand and receptor as one vector, by residue-level cross attention.

Attention is that of Vaswani et al. 2017. Places enter it beside the content, through weights of their own (untied, Ke
et al. 2021), so that a head can learn to look from the second ligand residue at a pocket whatever residues are there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import nn

from snw_dist.model.blocks import POSITION_SIZE, AttentionPooling, two_ended_positions
from snw_dist.model.pair import PairNetwork, Parts, Side


class ComplexEncoder(nn.Module):
    """Ligand and receptor, each distinct sequence encoded once -> [num_pairs, num_queries * (d_model // 2)].

    What concerns one side alone (`ligands`, `receptors`) is computed apart from the complexes.
    """

    def __init__(
        self,
        ligand_encoder: nn.Module,
        receptor_encoder: nn.Module,
        d_model: int,
        num_heads: int,
        num_blocks: int,
        num_queries: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.ligand_encoder, self.receptor_encoder = ligand_encoder, receptor_encoder
        self.blocks = nn.ModuleList(CrossAttentionBlock(d_model, num_heads, dropout) for _ in range(num_blocks))
        self.pooling = AttentionPooling(d_model, num_queries, d_model // 2)

    def ligands(self, side: Side) -> Parts:
        """Their mask and their residues, [num_distinct, length, d_model]."""
        return side.mask, self.ligand_encoder(side.states, side.mask)

    def receptors(self, side: Side) -> Parts:
        """Their mask, and what each block takes of them: keys, values, one block after another."""
        y = self.receptor_encoder(side.states, side.mask)
        blocks = cast(Iterable[CrossAttentionBlock], self.blocks)
        return side.mask, *(part for block in blocks for part in block.keys_and_values(y, side.mask))

    def forward(
        self, ligand: Parts, left: torch.Tensor, receptor: Parts, right: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The complexes, and where each ligand residue looks: [num_pairs, ligand length, receptor length].

        The latter is the mean over the heads of the last block, 0 in the padding. `left`, `right`: see `PairModel`.
        """
        mask, x = (part[left] for part in ligand)
        y_mask, *parts = receptor
        for block, key, value in zip(self.blocks, parts[::2], parts[1::2], strict=True):
            x, attention = block(x, mask, key, value, y_mask, right)
        return self.pooling(x, mask).flatten(1), attention.detach().mean(dim=1).masked_fill(~mask[..., None], 0.0)


class ComplexNetwork(PairNetwork):
    """A network that looks at the complexes of its pairs; of one side alone it computes what their encoder does."""

    def __init__(self, encoder: ComplexEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def ligands(self, side: Side) -> Parts:
        """See `ComplexEncoder`."""
        return self.encoder.ligands(side)

    def receptors(self, side: Side) -> Parts:
        """See `ComplexEncoder`."""
        return self.encoder.receptors(side)


class CrossAttentionBlock(nn.Module):
    """Every ligand residue gathers what it meets in the receptor, and takes up how the two go together.

    It begins by looking at places alone: its content has no say (`query` is zero) until training gives it one. With few
    receptors, attention that follows content from the start learns each of them by heart.
    """

    def __init__(self, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ligand_norm, self.receptor_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.query, self.key, self.value = (nn.Linear(d_model, d_model) for _ in range(3))
        nn.init.zeros_(self.query.weight)
        nn.init.zeros_(self.query.bias)
        self.query_place, self.key_place = (nn.Linear(2 * POSITION_SIZE, d_model, bias=False) for _ in range(2))
        self.mix = nn.Sequential(
            nn.LayerNorm(3 * d_model),
            nn.Linear(3 * d_model, 2 * d_model),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * d_model, d_model),
        )

    def keys_and_values(self, y: torch.Tensor, y_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`y`: [num_receptors, receptor length, d_model] -> [num_receptors, heads, receptor length, channels] each."""
        receptors = self.receptor_norm(y)
        key = self._heads(self.key(receptors), self.key_place(two_ended_positions(y_mask).to(y.dtype)))
        return key, self._heads(self.value(receptors))

    def forward(
        self,
        x: torch.Tensor,
        x_mask: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        y_mask: torch.Tensor,
        index: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`x`: [num_pairs, ligand length, d_model]; `key`, `value`: see above; `index`: the receptor of each pair.

        Returns x, and the attention [num_pairs, heads, ligand length, receptor length].
        """
        query = self._heads(self.query(self.ligand_norm(x)), self.query_place(two_ended_positions(x_mask).to(x.dtype)))
        logits = query @ key[index].transpose(2, 3) / math.sqrt(value.shape[-1])
        attention = logits.masked_fill(~y_mask[index][:, None, None, :], float("-inf")).softmax(dim=-1)
        context = (attention @ value[index]).transpose(1, 2).flatten(2)
        taken: torch.Tensor = self.mix(torch.cat([x, context, x * context], dim=-1))
        return x + taken, attention

    def _heads(self, *parts: torch.Tensor) -> torch.Tensor:
        """[n, length, d_model] each -> [n, heads, length, all their channels of a head], side by side."""
        split = [part.view(*part.shape[:2], self.num_heads, -1) for part in parts]
        return torch.cat(split, dim=-1).transpose(1, 2)
