"""What stands between the matrix products of ESM C on CUDA, as three kernels in Triton.

PyTorch runs each of these as three to eight operators, and each of them reads and writes every activation once. That
was half of the forward pass. Here one program holds one row, so a row is read once and written once. All sums are in
float32. The plain path in `plain.py` is the reference. Nothing here runs under autograd.
Only where CUDA is used may this module be imported: elsewhere Triton is not installed.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from snw_dist.embedding.esmc.attention import HEAD_SIZE

EPSILON = 1e-5  # of every norm of ESM C, and the default of `F.layer_norm`
_SWIGLU_BLOCK = 1024  # channels


def add_norm(
    x: torch.Tensor, change: torch.Tensor | None, scale: float, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """Add `change * scale` to the residual stream `x` in place; return the layer norm of the sum.

    `x` and `change` are [tokens, width], each of its own floating type; None adds nothing. The result has the type of
    `weight`. The norm is of the sum before that is rounded to the type of `x`.
    """
    width = x.shape[1]
    normed = torch.empty(x.shape, dtype=weight.dtype, device=x.device)
    _add_norm[(len(x),)](
        x, x if change is None else change, weight, weight if bias is None else bias, normed, scale,
        width, triton.next_power_of_2(width), change is not None, bias is not None, EPSILON,
        num_warps=_warps(width),
    )  # fmt: skip
    return normed


def norm_and_rotate(qkv: torch.Tensor, weights: torch.Tensor, positions: torch.Tensor, turns: torch.Tensor) -> None:
    """Norm and rotary embedding of q and k in place, in the product qkv [tokens, 3 * width]; v stays as it is.

    weights: [2, width], of the norms of q and k. positions: [tokens] integers, rows of `turns`, the cosines and sines
    of the angles: [positions, 2, 32] float32.
    """
    width = qkv.shape[1] // 3
    heads = width // HEAD_SIZE
    _norm_and_rotate[(len(qkv), 2)](
        qkv, weights, positions, turns, heads, triton.next_power_of_2(heads), HEAD_SIZE // 2, EPSILON,
        num_warps=_warps(width),
    )  # fmt: skip


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up of the product [tokens, 2 * inner]: [tokens, inner] of its type."""
    inner = gate_up.shape[1] // 2
    out = torch.empty(len(gate_up), inner, dtype=gate_up.dtype, device=gate_up.device)
    _swiglu[(len(out), triton.cdiv(inner, _SWIGLU_BLOCK))](gate_up, out, inner, _SWIGLU_BLOCK, num_warps=4)
    return out


def _warps(width: int) -> int:
    return 2 if width <= 1024 else 4


# A row's first element is an int64: 65,536 tokens of the 6B's 3 * 2,560 channels are already 2**29, and offsets of
# 32 bits would wrap without a word at 2**31.


@triton.jit
def _add_norm(
    x_ptr, change_ptr, weight_ptr, bias_ptr, normed_ptr, scale,
    WIDTH: tl.constexpr, BLOCK: tl.constexpr, HAS_CHANGE: tl.constexpr, HAS_BIAS: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * WIDTH
    channels = tl.arange(0, BLOCK)
    inside = channels < WIDTH
    x = tl.load(x_ptr + row + channels, mask=inside, other=0.0).to(tl.float32)
    if HAS_CHANGE:
        x += tl.load(change_ptr + row + channels, mask=inside, other=0.0).to(tl.float32) * scale
        tl.store(x_ptr + row + channels, x.to(x_ptr.dtype.element_ty), mask=inside)
    centred = tl.where(inside, x - tl.sum(x, axis=0) / WIDTH, 0.0)
    normed = centred * tl.rsqrt(tl.sum(centred * centred, axis=0) / WIDTH + EPS)
    normed *= tl.load(weight_ptr + channels, mask=inside, other=0.0).to(tl.float32)
    if HAS_BIAS:
        normed += tl.load(bias_ptr + channels, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed_ptr + row + channels, normed.to(normed_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _norm_and_rotate(
    qkv_ptr, weights_ptr, positions_ptr, turns_ptr,
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
    turn = turns_ptr + tl.load(positions_ptr + token) * (2 * HALF) + pair
    cosine, sine = tl.load(turn)[None, :], tl.load(turn + HALF)[None, :]
    tl.store(row + low, (a * cosine - b * sine).to(qkv_ptr.dtype.element_ty), mask=inside)
    tl.store(row + low + HALF, (a * sine + b * cosine).to(qkv_ptr.dtype.element_ty), mask=inside)


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
