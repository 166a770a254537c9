"""Attention inside each sequence of a packed batch, without a mask and without padding.

On CUDA in 16 bits one call of PyTorch's variable-length flash kernel does the whole batch (FlashAttention-2, Dao 2023;
it needs compute capability 8.0); where nothing is trained, `fused` has a faster one. Everywhere else sequences of equal
length share a call of `scaled_dot_product_attention`, whose result for a sequence does not depend on the others in the
call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
import torch.nn.functional as F

from hpc.machine.transfer import sent

HEAD_SIZE = 64  # of every released ESM C: 960/15, 1152/18, 2560/40


@dataclass(frozen=True)
class PackedLengths:
    """Where the sequences of a packed batch lie."""

    lengths: tuple[int, ...]
    """Tokens of each."""
    groups: tuple[tuple[int, int, int], ...]
    """(first token, number of sequences, tokens of each) of neighbours of equal length."""
    longest: int
    starts: torch.Tensor
    """[sequences + 1] int32 on the device: first token of each sequence, and their sum."""

    @staticmethod
    def of(lengths: Sequence[int], device: torch.device) -> PackedLengths:
        """Describe a batch by the number of tokens of each sequence, in order."""
        groups, first = [], 0
        for length, same in groupby(lengths):
            count = len(list(same))
            groups.append((first, count, length))
            first += count * length
        starts = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
        return PackedLengths(tuple(lengths), tuple(groups), max(lengths), sent(starts, device))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: PackedLengths) -> torch.Tensor:
    """Attention of every sequence over itself: q, k, v and the result are [tokens, heads * 64]."""
    if not has_varlen_kernel(q.device, q.dtype):
        return grouped_attention(q, k, v, lengths)
    from torch.nn.attention.varlen import varlen_attn

    queries, keys, values = (t.view(len(t), -1, HEAD_SIZE) for t in (q, k, v))
    out = varlen_attn(queries, keys, values, lengths.starts, lengths.starts, lengths.longest, lengths.longest)
    assert isinstance(out, torch.Tensor)
    return out.flatten(1)


def grouped_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: PackedLengths) -> torch.Tensor:
    """`attend` by one call for each group of neighbours of equal length."""
    parts = []
    for first, count, length in lengths.groups:
        shape = count, length, q.shape[1] // HEAD_SIZE, HEAD_SIZE
        group = [t[first : first + count * length].view(shape).transpose(1, 2) for t in (q, k, v)]
        context = F.scaled_dot_product_attention(group[0], group[1], group[2])
        parts.append(context.transpose(1, 2).reshape(count * length, q.shape[1]))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def has_varlen_kernel(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether PyTorch's variable-length flash kernel runs there."""
    if device.type != "cuda" or dtype not in (torch.bfloat16, torch.float16):
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def positions(lengths: Sequence[int]) -> torch.Tensor:
    """0, 1, ... in each of the sequences of `lengths` tokens: [sum of lengths] int64."""
    each = torch.tensor(lengths)
    starts = each.cumsum(0) - each
    return torch.arange(int(each.sum())) - starts.repeat_interleave(each)
