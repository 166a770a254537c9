"""The encoder on a CUDA device; the tests of this folder alone may be skipped, and only where there is none."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F

from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.esmc.attention import HEAD_SIZE, PackedLengths, attend, grouped_attention
from snw_dist.embedding.esmc.batch_size import MOST_TOKENS, measured_tokens_per_batch
from snw_dist.embedding.esmc.fused import attend_within, layer_norm, norm_and_rotate, query_blocks, swiglu
from snw_dist.embedding.esmc.fused_stack import FusedStack, turns_of
from snw_dist.embedding.esmc.packed import PackedEsmc, tokenize
from snw_dist.embedding.esmc.plain import PlainStack
from snw_dist.embedding.esmc.tunable import TunableEsmc
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.embedding.weights.reference import check_parity, transformers_model

CUDA = torch.device("cuda", 0)
SEQUENCES = ["ACDEFGHIK", "LMNPQRSTVWY", "LMNPQRSTVWA", "ACDEFGHIKLMNPQRSTVWY" * 12]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.encoder,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device=CUDA).bfloat16()


def spoil(*shape: int) -> None:
    """NaN in the memory that the next tensor of this shape gets, so that what a kernel leaves out is seen."""
    torch.full(shape, torch.nan, device=CUDA, dtype=torch.bfloat16)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    """Within the rounding of `actual`; `expected` is float64."""
    assert actual.shape == expected.shape
    allowed = 2.0**-8 if actual.dtype == torch.bfloat16 else 1e-6
    assert ((actual - expected).abs() <= allowed * expected.abs() + 1e-5).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
def test_packed_esmc_equals_the_cpu(dtype: torch.dtype, tolerance: float) -> None:
    weights = tiny_random_weights().weights
    tokens, lengths = tokenize(SEQUENCES)
    expected = PackedEsmc(weights, torch.device("cpu"), torch.float32).forward(tokens, lengths)
    actual = PackedEsmc(weights, CUDA, dtype).forward(tokens, lengths).float().cpu()
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_esmc_equals_transformers_on_the_same_device(dtype: torch.dtype) -> None:
    """The gate of `embed --verify-encoder`, at the widths of the 300M and the 600M model."""
    for width, inner in ((960, 2560), (1152, 3072)):
        loaded = tiny_random_weights(width, 2, inner)
        parity = check_parity(PackedEsmc(loaded.weights, CUDA, dtype), loaded, SEQUENCES)
        assert parity.num_sequences == len(SEQUENCES)


def test_bfloat16_takes_the_fused_kernels_and_float32_the_plain_path() -> None:
    weights = tiny_random_weights().weights
    assert isinstance(PackedEsmc(weights, CUDA, torch.bfloat16)._stack, FusedStack)
    assert isinstance(PackedEsmc(weights, CUDA, torch.float32)._stack, PlainStack)


@pytest.mark.parametrize("width", [960, 1152, 2560])
@pytest.mark.parametrize("tokens", [1, 3, 1000])
def test_the_norm_equals_float64(width: int, tokens: int) -> None:
    x, weight, bias = random(tokens, width), random(width), random(width)
    spoil(tokens, width)
    close(layer_norm(x, weight, bias), F.layer_norm(x.double(), (width,), weight.double(), bias.double()))
    close(layer_norm(x, weight, None), F.layer_norm(x.double(), (width,), weight.double()))


@pytest.mark.parametrize("heads", [15, 18, 40])
@pytest.mark.parametrize("lengths", [[1, 2, 63, 64, 65], [127, 128, 129, 300], [2048, 1]])
def test_fused_attention_equals_one_call_for_each_length(heads: int, lengths: list[int]) -> None:
    qkv = random(sum(lengths), 3 * heads * HEAD_SIZE)
    q, k, v = qkv.float().chunk(3, 1)
    spoil(sum(lengths), heads * HEAD_SIZE)
    actual = attend_within(qkv, query_blocks(lengths).to(CUDA))
    difference = actual.float() - grouped_attention(q, k, v, PackedLengths.of(lengths, CUDA))
    assert difference.abs().max() < 0.02


@pytest.mark.parametrize("width", [960, 1152, 2560])
@pytest.mark.parametrize("tokens", [1, 3, 1000])
def test_the_norm_and_the_rotation_equal_float64(width: int, tokens: int) -> None:
    product, weights, turns = random(tokens, 3 * width), random(2, width), turns_of(2048, CUDA)
    places = torch.randint(0, 2048, (tokens,), device=CUDA)
    cosine, sine = turns[places].double()[:, :, None].unbind(1)
    result = product.clone()
    norm_and_rotate(result, weights, places, turns)
    for actual, before, weight in zip(result.chunk(3, 1), product.chunk(3, 1), weights, strict=False):
        a, b = F.layer_norm(before.double(), (width,), weight.double()).view(tokens, -1, 2, 32).unbind(2)
        close(actual, torch.stack([a * cosine - b * sine, a * sine + b * cosine], dim=2).view(tokens, width))
    assert torch.equal(result[:, 2 * width :], product[:, 2 * width :])


@pytest.mark.parametrize("inner", [2560, 3072, 6912])
@pytest.mark.parametrize("tokens", [1, 3, 1000])
def test_swiglu_equals_float64(inner: int, tokens: int) -> None:
    product = random(tokens, 2 * inner) * 4
    gate, up = product.double().chunk(2, 1)
    spoil(tokens, inner)
    close(swiglu(product), F.silu(gate) * up)


def test_rows_behind_two_to_the_31_elements() -> None:
    """Offsets of 32 bits would wrap without a word."""
    tokens, turns = 2**31 // (3 * 960) + 100, turns_of(64, CUDA)
    product = torch.empty(tokens, 3 * 960, device=CUDA, dtype=torch.bfloat16)
    product[-4:] = random(4, 3 * 960)
    last, places, weights = product[-4:].clone(), torch.full((tokens,), 7, device=CUDA), random(2, 960)
    norm_and_rotate(product, weights, places, turns)
    norm_and_rotate(last, weights, places[:4], turns)
    assert torch.equal(product[-4:], last)


def test_bfloat16_is_as_near_to_float32_as_transformers() -> None:
    """On the depth of the 300M model, where what the layers round has added up."""
    loaded = tiny_random_weights(960, 30, 2560)
    sequences = [sequence for sequence in SEQUENCES if len(sequence) > 10]
    tokens, lengths = tokenize(sequences)
    exact = PackedEsmc(loaded.weights, CUDA, torch.float32).forward(tokens, lengths)
    ours = PackedEsmc(loaded.weights, CUDA, torch.bfloat16).forward(tokens, lengths).float()
    public = transformers_model(loaded.weights, CUDA, torch.bfloat16)
    with torch.inference_mode():
        parts = [public(input_ids=one[None].to(CUDA)).last_hidden_state[0] for one in tokens.split(lengths)]
    assert (ours - exact).norm() <= 1.1 * (torch.cat(parts).float() - exact).norm()


def test_the_variable_length_kernel_equals_one_call_for_each_length() -> None:
    lengths = [5, 5, 9, 200, 201, 2048]
    packed = PackedLengths.of(lengths, CUDA)
    q, k, v = (torch.randn(sum(lengths), 960, device=CUDA, dtype=torch.bfloat16) for _ in range(3))
    difference = attend(q, k, v, packed).float() - grouped_attention(q, k, v, packed).float()
    assert difference.abs().max() < 0.05


@pytest.mark.filterwarnings(
    "ignore:Synchronization debug mode"
)  # a prototype of PyTorch, as it says whenever it is set
def test_nobody_waits_for_the_device_between_passes() -> None:
    """Whoever waits launches the next pass too late, and the device has nothing to do."""
    model = PackedEsmc(tiny_random_weights().weights, CUDA, torch.bfloat16)
    tokens, lengths = tokenize(SEQUENCES)
    model.forward(tokens, lengths)  # the first call sets up libraries
    try:
        torch.cuda.set_sync_debug_mode("error")
        model.forward(tokens, lengths)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_batch_that_does_not_fit_the_gpu_is_halved() -> None:
    loaded = tiny_random_weights(960, 1, 2560)
    encoder = build_encoder("esmc-tiny-random", loaded, CUDA, "bf16", [-1], "concat", 2048)
    sequences = ["ACDEFGHIKL" * 30] * 400
    expected = encoder.embed(sequences[:1])
    limit = torch.cuda.memory_reserved(CUDA) + 500 * 2**20
    torch.cuda.set_per_process_memory_fraction(limit / torch.cuda.get_device_properties(CUDA).total_memory)
    try:
        encoder.tokens_per_batch = 10**6
        rows = encoder.embed(sequences)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert encoder.tokens_per_batch < 10**6
    assert (rows.view(400, 300, 960) - expected).abs().max() <= 0.05 * expected.abs().max()


def test_the_batch_is_measured_on_the_gpu() -> None:
    model = PackedEsmc(tiny_random_weights(960, 2, 2560).weights, CUDA, torch.bfloat16)
    few, many = (measured_tokens_per_batch(model, sharing) for sharing in (64, 1))
    assert 2048 <= few <= many <= MOST_TOKENS["cuda"]


@pytest.mark.parametrize("rank", [None, 4])
def test_a_tuned_encoder_has_the_gradients_of_the_cpu(rank: int | None) -> None:
    torch.manual_seed(1)
    network = TunableEsmc(tiny_random_weights(128, 2, 256).weights, [2], "concat", rank)
    for name, parameter in network.named_parameters():
        if name.endswith("up"):
            torch.nn.init.normal_(parameter)  # as after some steps: at first they are zero, and `down` has no gradient
    residues, lengths = torch.randint(4, 24, (4, 60)), torch.tensor([60, 7, 31, 7])
    mask = torch.arange(60) < lengths[:, None]
    found = []
    for device, dtype in ((torch.device("cpu"), torch.float32), (CUDA, torch.float32), (CUDA, torch.bfloat16)):
        placed = copy.deepcopy(network).to(device, dtype)
        (rows,) = placed((residues.to(device), mask.to(device)))
        weights = torch.linspace(-1, 1, rows.numel(), device=device).view(rows.shape)
        (rows.float() * weights).sum().backward()
        parts = [p.grad.float().flatten().cpu() for p in placed.parameters() if p.grad is not None]
        found.append((rows.float().cpu(), torch.cat(parts)))
    for (rows, gradient), tolerance in zip(found[1:], (1e-4, 5e-2), strict=True):
        assert (rows - found[0][0]).norm() <= tolerance * found[0][0].norm()
        assert (gradient - found[0][1]).norm() <= 4 * tolerance * found[0][1].norm()  # a product of such factors
