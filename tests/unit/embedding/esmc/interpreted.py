"""The fused kernels on a processor, by Triton's interpreter, against the plain path; `test_fused` runs this file.

The interpreter must be chosen before Triton is imported, so this file has a process of its own. It cuts numbers off
where a GPU rounds them to bfloat16, so a whole unit of the last place is allowed there. Its products of bfloat16 are
wrong (it multiplies their bits), so what holds products is tried in float16.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from snw_dist.embedding.esmc.architecture import EsmcLayer
from snw_dist.embedding.esmc.attention import HEAD_SIZE, PackedLengths, grouped_attention, positions
from snw_dist.embedding.esmc.fused import attend_within, layer_norm, norm_and_rotate, query_blocks, swiglu
from snw_dist.embedding.esmc.fused_stack import FusedStack, turns_of
from snw_dist.embedding.esmc.plain import PlainStack, inverse_frequencies, rotation_of

WIDTHS = [64, 320, 960, 1152, 2560]  # the released ones, and two small ones
DTYPES = [torch.float32, torch.bfloat16]
HALVES = [torch.float32, torch.float16]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2.0**-7, torch.float16: 2.0**-10}
CPU = torch.device("cpu")
quick = settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate])  # shrinking takes minutes
seeds = st.integers(0, 2**31)
few = st.integers(1, 3)


def random(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(dtype)


def equal(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Up to the rounding of `actual`; `expected` is float64."""
    assert actual.shape == expected.shape
    difference = (actual.double() - expected).abs()
    assert (difference <= TOLERANCE[actual.dtype] * (expected.abs() + 1)).all(), float(difference.max())


@pytest.mark.parametrize("dtype", DTYPES)
@quick
@given(seed=seeds, tokens=few, width=st.sampled_from(WIDTHS), biased=st.booleans())
def test_the_norm(dtype: torch.dtype, seed: int, tokens: int, width: int, biased: bool) -> None:
    x, weight = random(seed, tokens, width, dtype=dtype), random(seed + 1, width, dtype=dtype)
    bias = random(seed + 2, width, dtype=dtype) if biased else None
    expected = F.layer_norm(x.double(), (width,), weight.double(), None if bias is None else bias.double())
    equal(layer_norm(x, weight, bias), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@quick
@given(seed=seeds, tokens=few, width=st.sampled_from(WIDTHS))
def test_the_norm_and_the_rotation_of_q_and_k(dtype: torch.dtype, seed: int, tokens: int, width: int) -> None:
    product, weights = random(seed, tokens, 3 * width, dtype=dtype), random(seed + 1, 2, width, dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(0, 2048, (tokens,), generator=generator)
    rotation = rotation_of(places, inverse_frequencies(CPU)).to(torch.complex128)
    result = product.clone()
    norm_and_rotate(result, weights, places, turns_of(2048, CPU))
    for actual, before, weight in zip(result.chunk(3, 1), product.chunk(3, 1), weights, strict=False):
        normed = F.layer_norm(before.double(), (width,), weight.double()).view(tokens, -1, 2, HEAD_SIZE // 2)
        turned = torch.view_as_complex(normed.transpose(2, 3).contiguous()) * rotation
        equal(actual, torch.view_as_real(turned).transpose(2, 3).reshape(tokens, width))
    assert torch.equal(result[:, 2 * width :], product[:, 2 * width :])


@pytest.mark.parametrize("dtype", DTYPES)
@quick
@given(seed=seeds, tokens=few, inner=st.sampled_from([1, 100, 1024, 2560, 3072, 6912]))
def test_swiglu(dtype: torch.dtype, seed: int, tokens: int, inner: int) -> None:
    product = random(seed, tokens, 2 * inner, dtype=dtype) * 8
    gate, up = product.double().chunk(2, 1)
    equal(swiglu(product), F.silu(gate) * up)


@pytest.mark.parametrize("dtype", HALVES)
@quick
@given(
    seed=seeds,
    heads=few,
    lengths=st.lists(st.sampled_from([1, 2, 63, 64, 65, 127, 128, 129, 200]), min_size=1, max_size=3),
)
def test_attention(dtype: torch.dtype, seed: int, heads: int, lengths: list[int]) -> None:
    """Lengths around whole blocks."""
    qkv = random(seed, sum(lengths), 3 * heads * HEAD_SIZE, dtype=dtype) * 1.5
    q, k, v = qkv.double().chunk(3, 1)
    expected = grouped_attention(q, k, v, PackedLengths.of(lengths, CPU))
    equal(attend_within(qkv, query_blocks(lengths)), expected)


def test_each_query_is_in_one_block() -> None:
    assert query_blocks([1, 66, 64]).tolist() == [[0, 1, 0], [1, 66, 0], [1, 66, 64], [67, 64, 0]]


def random_layers(width: int, inner: int, number: int, dtype: torch.dtype) -> list[EsmcLayer]:
    """Nothing at its default, so that no weight in a wrong place passes."""

    def layer(seed: int) -> EsmcLayer:
        shapes = {"qkv": (3 * width, width), "out": (width, width)}
        shapes |= {"gate_up": (2 * inner, width), "down": (width, inner)}
        matrices = {k: random(seed + i, *shape) * shape[1] ** -0.5 for i, (k, shape) in enumerate(shapes.items())}
        names = ("norm_weight", "norm_bias", "q_norm", "k_norm", "mlp_norm_weight", "mlp_norm_bias")
        vectors = {k: random(seed + 9 + i, width) * 0.3 + (not k.endswith("bias")) for i, k in enumerate(names)}
        return EsmcLayer(**{k: v.to(dtype) for k, v in {**matrices, **vectors}.items()})

    return [layer(100 * i) for i in range(number)]


@pytest.mark.parametrize("normed", [True, False])
@pytest.mark.parametrize("dtype", HALVES)
def test_fused_blocks_equal_plain_ones(dtype: torch.dtype, normed: bool) -> None:
    """float32 everywhere shows that it is the same function; float16 that it loses no more than the plain one."""
    width, lengths = 128, [1, 4, 4, 6]
    packed, places = PackedLengths.of(lengths, CPU), positions(lengths)
    x = random(7, sum(lengths), width)
    final = random(8, width) if normed else None

    def states(kind: type[FusedStack] | type[PlainStack], dtype: torch.dtype) -> list[torch.Tensor]:
        stack = kind(random_layers(width, 192, 2, dtype), None if final is None else final.to(dtype), 0.7, CPU)
        return [s.double() for s in stack.states(x.to(dtype, copy=True), places, packed)]

    exact = states(PlainStack, torch.float32)
    lost = [float((s - e).norm() / e.norm()) for s, e in zip(states(FusedStack, dtype), exact, strict=True)]
    usual = [float((s - e).norm() / e.norm()) for s, e in zip(states(PlainStack, dtype), exact, strict=True)]
    for ours, plain in zip(lost, usual, strict=True):
        assert ours < (1e-6 if dtype == torch.float32 else 2 * plain)
