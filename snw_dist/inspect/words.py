"""What a block is called in a picture, and of what kind it is, from the module itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from snw_dist.model.blocks import AttentionPooling, ConvBlock, InputProjection, TransformerBlock
from snw_dist.model.changeformer import Decoder, Difference, Stage
from snw_dist.model.complex import CrossAttentionBlock

Kind = Literal["linear", "convolution", "attention", "pooling", "compare"]
"""Each has a colour."""


@dataclass(frozen=True)
class Words:
    """The texts of a box, and its kind."""

    title: str
    detail: str
    kind: Kind


def words_of(module: nn.Module, whole: bool) -> Words:
    """Of a block; `whole`: it ran as a whole, not through some of its modules alone.

    A class that is not known here is drawn by its own name.
    """
    match module:
        case CrossAttentionBlock() if not whole:
            return Words("Keys and values", f"{module.num_heads} heads, made once a receptor", "attention")
        case CrossAttentionBlock():
            return Words("Cross attention", f"{module.num_heads} heads, ligand to receptor", "attention")
        case InputProjection():
            width = module.input.in_features
            return Words("Projection", f"{width:,} → {module.input.out_features:,}, with positions", "linear")
        case ConvBlock():
            return Words("Convolution", f"{module.convolution.kernel_size[0]} residues wide", "convolution")
        case TransformerBlock():
            return Words("Transformer block", f"{module.num_heads} heads, self-attention", "attention")
        case AttentionPooling():
            return Words("Attention pooling", f"{module.queries.out_features} queries", "pooling")
        case Stage():
            return _stage(module)
        case Difference():
            return Words("Difference", "2 convolutions over both", "compare")
        case Decoder():
            return Words("Decoder", f"{len(module.linear)} scales fused into a logit", "linear")
        case nn.Sequential():
            return _layers(module)
    return Words(type(module).__name__, "", "linear")


def _stage(module: Stage) -> Words:
    count = len(module.blocks)
    blocks = f", {count} transformer block{'s' * (count > 1)}" if count else ""
    title = "Stage" if module.merge is None else "Stage, half as long"
    return Words(title, f"convolution{blocks}", "attention" if count else "convolution")


def _layers(module: nn.Sequential) -> Words:
    widths = [layer for layer in module if isinstance(layer, nn.Linear)]
    if not widths:
        return Words("Layers", "", "linear")
    chain = [widths[0].in_features, *(layer.out_features for layer in widths)]
    return Words("Linear layers", " → ".join(f"{width:,}" for width in chain), "linear")
