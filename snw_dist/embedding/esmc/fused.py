"""What stands between the matrix products of ESM C on CUDA, as four kernels in Triton.

PyTorch runs each norm, rotation and SwiGLU as three to eight operators, each of which reads and writes all activations.
Here they are read once and written once. Sums are in float32. The plain path in `plain.py` is the reference. Nothing
here runs under autograd. Only where CUDA is used may this module be imported: elsewhere Triton is not installed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from snw_dist.embedding.esmc.attention import HEAD_SIZE, positions

EPSILON = 1e-5  # of every norm of ESM C, and the default of `F.layer_norm`
_SWIGLU_BLOCK = 1024  # channels
_QUERIES, _KEYS = (
    64,
    64,
)  # tokens that a program of the attention takes at once; proteins leave larger blocks half empty
_ATTENTION = {"num_warps": 4, "num_stages": 3}


def layer_norm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """`F.layer_norm` over the last dimension of x [tokens, width]."""
    width = x.shape[1]
    normed = torch.empty_like(x)
    _layer_norm[(len(x),)](
        x, weight, weight if bias is None else bias, normed,
        width, triton.next_power_of_2(width), bias is not None, EPSILON, num_warps=2,
    )  # fmt: skip
    return normed


def norm_and_rotate(qkv: torch.Tensor, weights: torch.Tensor, places: torch.Tensor, turns: torch.Tensor) -> None:
    """Norm and rotary embedding of q and k in place, in the product qkv [tokens, 3 * width]; v stays as it is.

    weights: [2, width], of the norms of q and k. places: [tokens] integers, the positions of the tokens in their
    sequences and rows of `turns`, the cosines and sines of the angles: [positions, 2, 32] float32.
    """
    heads = qkv.shape[1] // 3 // HEAD_SIZE
    _norm_and_rotate[(len(qkv), 2)](
        qkv, weights, places, turns, heads, triton.next_power_of_2(heads), HEAD_SIZE // 2, EPSILON,
        num_warps=1 if heads <= 32 else 2,
    )  # fmt: skip


def query_blocks(lengths: Sequence[int]) -> torch.Tensor:
    """What each program of `attend_within` does, in a batch of sequences of `lengths` tokens: [blocks, 3] int32.

    A row holds the first token of a sequence, its number of tokens, and the first of its tokens that are queries.
    """
    each = torch.tensor(lengths)
    counts = (each + _QUERIES - 1) // _QUERIES
    starts = each.cumsum(0) - each
    queries = positions(counts.tolist()) * _QUERIES
    return torch.stack([starts.repeat_interleave(counts), each.repeat_interleave(counts), queries], dim=1).int()


def attend_within(qkv: torch.Tensor, blocks: torch.Tensor) -> torch.Tensor:
    """Attention of every sequence over itself of the product qkv [tokens, 3 * width]: [tokens, width].

    blocks: see `query_blocks`, on the device. FlashAttention (Dao 2023): no score leaves its program.
    """
    width = qkv.shape[1] // 3
    heads = width // HEAD_SIZE
    context = torch.empty(len(qkv), width, dtype=qkv.dtype, device=qkv.device)
    _attend[(len(blocks) * heads,)](
        qkv, blocks, context, math.log2(math.e) / math.sqrt(HEAD_SIZE), heads, HEAD_SIZE, _QUERIES, _KEYS, **_ATTENTION
    )
    return context


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up of the product [tokens, 2 * inner]: [tokens, inner] of its type."""
    inner = gate_up.shape[1] // 2
    out = torch.empty(len(gate_up), inner, dtype=gate_up.dtype, device=gate_up.device)
    _swiglu[(len(out), triton.cdiv(inner, _SWIGLU_BLOCK))](gate_up, out, inner, _SWIGLU_BLOCK, num_warps=4)
    return out


# A row's first element is an int64: 65,536 tokens of the 6B's 3 * 2,560 channels are already 2**29, and offsets of
# 32 bits would wrap without a word at 2**31.


@triton.jit
def _layer_norm(
    x_ptr, weight_ptr, bias_ptr, normed_ptr,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, HAS_BIAS: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * WIDTH
    channels = tl.arange(0, BLOCK)
    inside = channels < WIDTH
    x = tl.load(x_ptr + row + channels, mask=inside, other=0.0).to(tl.float32)
    centred = tl.where(inside, x - tl.sum(x, axis=0) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + EPS)
    normed *= tl.load(weight_ptr + channels, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        normed += tl.load(bias_ptr + channels, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed_ptr + row + channels, normed.to(normed_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _norm_and_rotate(
    qkv_ptr, weights_ptr, places_ptr, turns_ptr,
    HEADS: tl.constexpr, HEADS_BLOCK: tl.constexpr, HALF: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    token, which = tl.program_id(0).to(tl.int64), tl.program_id(1)
    WIDTH: tl.constexpr = HEADS * HALF * 2
    pair = tl.arange(0, HALF)
    head = tl.arange(0, HEADS_BLOCK)[:, None]
    low = head * (2 * HALF) + pair[None, :]  # the rotation turns channels i and i + 32 of a head together
    inside = (head < HEADS) & (pair[None, :] < HALF)
    row = qkv_ptr + token * (3 * WIDTH) + which * WIDTH
    a = tl.load(row + low, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(row + low + HALF, mask=inside, other=0.0).to(tl.float32)
    mean = (tl.sum(a) + tl.sum(b)) / WIDTH
    a = tl.where(inside, a - mean, 0.0)
    b = tl.where(inside, b - mean, 0.0)
    scale = tl.rsqrt((tl.sum(a * a) + tl.sum(b * b)) / WIDTH + EPS)
    weights = weights_ptr + which * WIDTH + low
    a *= scale * tl.load(weights, mask=inside, other=0.0).to(tl.float32)
    b *= scale * tl.load(weights + HALF, mask=inside, other=0.0).to(tl.float32)
    turn = turns_ptr + tl.load(places_ptr + token) * (2 * HALF) + pair
    cosine, sine = tl.load(turn)[None, :], tl.load(turn + HALF)[None, :]
    tl.store(row + low, (a * cosine - b * sine).to(qkv_ptr.dtype.element_ty), mask=inside)
    tl.store(row + low + HALF, (a * sine + b * cosine).to(qkv_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _attend(
    qkv_ptr, blocks_ptr, context_ptr, scale,
    HEADS: tl.constexpr, SIZE: tl.constexpr, QUERIES: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    WIDTH: tl.constexpr = HEADS * SIZE
    block, head = tl.program_id(0) // HEADS, tl.program_id(0) % HEADS
    start = tl.load(blocks_ptr + block * 3).to(tl.int64)
    length, first = tl.load(blocks_ptr + block * 3 + 1), tl.load(blocks_ptr + block * 3 + 2)
    channel = tl.arange(0, SIZE)
    query = first + tl.arange(0, QUERIES)
    inside = (query < length)[:, None]
    q_ptr = qkv_ptr + start * (3 * WIDTH) + head * SIZE
    q = tl.load(q_ptr + query[:, None] * (3 * WIDTH) + channel[None, :], mask=inside, other=0.0)
    largest = tl.full([QUERIES], float("-inf"), tl.float32)
    total = tl.zeros([QUERIES], tl.float32)
    summed = tl.zeros([QUERIES, SIZE], tl.float32)
    whole = length // KEYS * KEYS  # keys up to here fill their blocks, which then need no mask
    for key in range(0, whole, KEYS):
        summed, total, largest = _take(q, q_ptr, key, length, summed, total, largest, scale, WIDTH, SIZE, KEYS, False)
    if whole < length:
        summed, total, largest = _take(q, q_ptr, whole, length, summed, total, largest, scale, WIDTH, SIZE, KEYS, True)
    row = context_ptr + start * WIDTH + head * SIZE
    result = (summed / total[:, None]).to(context_ptr.dtype.element_ty)
    tl.store(row + query[:, None] * WIDTH + channel[None, :], result, mask=inside)


@triton.jit
def _take(
    q, q_ptr, key, length, summed, total, largest, scale,
    WIDTH: tl.constexpr, SIZE: tl.constexpr, KEYS: tl.constexpr, MASKED: tl.constexpr,
):  # fmt: skip
    """One block of keys and values into the running softmax: the scores are of base 2, `scale` has the logarithm."""
    channel, keys = tl.arange(0, SIZE), key + tl.arange(0, KEYS)
    inside = keys < length
    k_ptr = q_ptr + WIDTH + keys[None, :] * (3 * WIDTH) + channel[:, None]
    v_ptr = q_ptr + 2 * WIDTH + keys[:, None] * (3 * WIDTH) + channel[None, :]
    k = tl.load(k_ptr, mask=inside[None, :], other=0.0) if MASKED else tl.load(k_ptr)
    scores = tl.dot(q, k)
    if MASKED:
        scores = tl.where(inside[None, :], scores, float("-inf"))
    larger = tl.maximum(largest, tl.max(scores, axis=1) * scale)
    weights = tl.exp2(scores * scale - larger[:, None])
    kept = tl.exp2(largest - larger)
    v = tl.load(v_ptr, mask=inside[:, None], other=0.0) if MASKED else tl.load(v_ptr)
    summed = tl.dot(weights.to(v.dtype), v, summed * kept[:, None])
    return summed, total * kept + tl.sum(weights, axis=1), larger


@triton.jit
def _swiglu(gate_up_ptr, out_ptr, INNER: tl.constexpr, BLOCK: tl.constexpr):
    token = tl.program_id(0).to(tl.int64)
    channels = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = channels < INNER
    row = gate_up_ptr + token * (2 * INNER)
    gate = tl.load(row + channels, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(row + INNER + channels, mask=inside, other=0.0).to(tl.float32)
    result = gate / (1.0 + tl.exp(-gate)) * up
    tl.store(out_ptr + token * INNER + channels, result.to(out_ptr.dtype.element_ty), mask=inside)
