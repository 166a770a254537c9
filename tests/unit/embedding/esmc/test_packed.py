"""The packed forward against both public packages, on weights in their own files.

Everything is random and nothing is at its default (norm weights included), so that no wrong mapping passes. Tolerances
are relative to the largest value of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from esm.models.esmc import ESMC
from esm.tokenization import EsmSequenceTokenizer
from torch import nn
from transformers import EsmcConfig, EsmcForMaskedLM, EsmcModel, EsmcTokenizer

from hpc.errors import EnvironmentProblem
from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.esmc import plain
from snw_dist.embedding.esmc.attention import positions
from snw_dist.embedding.esmc.linear import PlainLinear
from snw_dist.embedding.esmc.packed import PackedEsmc, tokenize
from snw_dist.embedding.esmc.plain import PlainStack
from snw_dist.embedding.weights.read import load_weights, tiny_random_weights
from snw_dist.embedding.weights.reference import check_parity, sample
from tests.kit.embedding_tools import LETTERS, random_sequences

CPU = torch.device("cpu")
FP32 = 1e-5
BF16 = 0.03
"""Two bfloat16 forwards differ by rounding only: bfloat16 has 8 bits, and the errors of the layers add up."""
LENGTHS = (1, 2, 9, 9, 9, 15, 34, 34, 120, 3, 300)
SEQUENCES = random_sequences(LENGTHS)


def randomize(model: nn.Module, seed: int = 7) -> None:
    """Matrices keep the scale of what goes through; norm weights are far from 1, biases far from 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 2:
                parameter.copy_(noise if "embed" in name else noise * parameter.shape[1] ** -0.5)
            else:
                parameter.copy_(noise * 0.3 + (0.0 if name.endswith("bias") else 1.0))


def transformers_model(width: int = 128, layers: int = 3, inner: int = 320, head: bool = False) -> nn.Module:
    config = EsmcConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=inner
    )
    model = (EsmcForMaskedLM if head else EsmcModel)(config).eval()
    randomize(model)
    return model


def esm_model(width: int = 128, layers: int = 3) -> nn.Module:
    model = ESMC(width, width // 64, layers, EsmSequenceTokenizer(), use_flash_attn=False).eval()
    randomize(model)
    return model


@torch.inference_mode()
def transformers_states(model: nn.Module, sequences: Sequence[str]) -> list[list[torch.Tensor]]:
    """States of every layer (0 is the embedding, the last is normed) of every sequence, in one padded batch."""
    tokens = EsmcTokenizer()(list(sequences), return_tensors="pt", padding=True)
    out = model(**tokens, output_hidden_states=True)
    return [[h[i, : len(s) + 2].float() for i, s in enumerate(sequences)] for h in out.hidden_states]


@torch.inference_mode()
def esm_states(model: nn.Module, sequences: Sequence[str]) -> list[list[torch.Tensor]]:
    """States after block 1 to n - 1 and, last, the normed output; this package does not give the embedding."""
    out = model(model._tokenize(list(sequences)))  # type: ignore[operator]
    layers = [*out.hidden_states[:-1], out.embeddings]
    return [[h[i, : len(s) + 2].float() for i, s in enumerate(sequences)] for h in layers]


def packed_states(packed: PackedEsmc, sequences: Sequence[str]) -> list[torch.Tensor]:
    tokens, lengths = tokenize(sequences)
    return list(packed.forward(tokens, lengths).float().split(lengths))


def worst(actual: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
    """Largest difference over the largest value expected."""
    assert [a.shape for a in actual] == [e.shape for e in expected]
    scale = max(float(e.abs().max()) for e in expected)
    return max(float((a - e).abs().max()) for a, e in zip(actual, expected, strict=True)) / scale


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model each in the formats of the packages."""
    root = tmp_path_factory.mktemp("weights")
    transformers_model().save_pretrained(root / "base")
    transformers_model(head=True).save_pretrained(root / "head")
    transformers_model(head=True).save_pretrained(root / "sharded", max_shard_size="300KB")
    torch.save(esm_model().state_dict(), root / "esm.pth")
    return root


def load_reference(path: Path, **options: torch.dtype) -> nn.Module:
    kind = EsmcModel if path.name == "base" else EsmcForMaskedLM
    return kind.from_pretrained(path, local_files_only=True, **options).eval()


def test_the_folders_are_the_real_formats(folder: Path) -> None:
    assert len(list((folder / "sharded").glob("model-*.safetensors"))) > 2
    assert (folder / "sharded" / "model.safetensors.index.json").exists()
    assert [f.name for f in (folder / "base").glob("*.safetensors")] == ["model.safetensors"]


@pytest.mark.parametrize("name", ["base", "head", "sharded"])
def test_every_layer_equals_transformers(folder: Path, name: str) -> None:
    expected = transformers_states(load_reference(folder / name), SEQUENCES)
    assert len(expected) == 4
    loaded = load_weights(str(folder / name))
    for layer in range(4):
        actual = packed_states(PackedEsmc(loaded.weights, CPU, torch.float32, [layer]), SEQUENCES)
        assert worst(actual, expected[layer]) < FP32
    last = packed_states(PackedEsmc(loaded.weights, CPU, torch.float32, [-1]), SEQUENCES)
    assert all(torch.equal(a, b) for a, b in zip(last, actual, strict=True))


def test_the_head_and_the_number_of_files_change_nothing(folder: Path) -> None:
    a, b = (load_weights(str(folder / name)).weights for name in ("head", "sharded"))
    for one, other in zip((a.embed, a.final_norm, *a.layers), (b.embed, b.final_norm, *b.layers), strict=True):
        left, right = ([t] if isinstance(t, torch.Tensor) else list(vars(t).values()) for t in (one, other))
        assert all(torch.equal(x, y) for x, y in zip(left, right, strict=True))


def test_every_layer_equals_the_esm_package(folder: Path) -> None:
    reference = esm_model()
    reference.load_state_dict(torch.load(folder / "esm.pth", weights_only=True))
    expected = esm_states(reference, SEQUENCES)
    loaded = load_weights(str(folder / "esm.pth"))
    assert len(expected) == 3
    for layer, states in enumerate(expected, start=1):
        actual = packed_states(PackedEsmc(loaded.weights, CPU, torch.float32, [layer]), SEQUENCES)
        assert worst(actual, states) < FP32
    embedded = packed_states(PackedEsmc(loaded.weights, CPU, torch.float32, [0]), SEQUENCES)
    assert all(torch.equal(e, reference.embed(tokenize([s])[0])) for e, s in zip(embedded, SEQUENCES, strict=True))


@pytest.mark.parametrize("package", ["transformers", "esm"])
def test_the_shape_of_the_300m_model(tmp_path: Path, package: str) -> None:
    sequences = [SEQUENCES[3], SEQUENCES[6], SEQUENCES[8]]
    if package == "transformers":
        model = transformers_model(960, 1, 2560)
        model.save_pretrained(tmp_path / "base")
        path, expected = tmp_path / "base", transformers_states(model, sequences)[-1]
    else:
        model = esm_model(960, 1)
        torch.save(model.state_dict(), tmp_path / "esm.pth")
        path, expected = tmp_path / "esm.pth", esm_states(model, sequences)[-1]
    loaded = load_weights(str(path))
    assert (loaded.weights.d_model, loaded.weights.num_heads) == (960, 15)
    assert loaded.weights.layers[0].down.shape == (960, 2560)
    actual = packed_states(PackedEsmc(loaded.weights, CPU, torch.float32), sequences)
    assert worst(actual, expected) < FP32


def test_bfloat16_is_as_close_as_its_rounding(folder: Path) -> None:
    half = transformers_states(load_reference(folder / "base", dtype=torch.bfloat16), SEQUENCES)[-1]
    full = transformers_states(load_reference(folder / "base"), SEQUENCES)[-1]
    actual = packed_states(PackedEsmc(load_weights(str(folder / "base")).weights, CPU, torch.bfloat16), SEQUENCES)
    assert worst(actual, half) < BF16
    assert worst(actual, full) < BF16


def test_alone_and_in_any_batch(folder: Path) -> None:
    """A sequence does not see its neighbours, and with oneDNN's layers not one bit differs."""
    packed = PackedEsmc(load_weights(str(folder / "base")).weights, CPU, torch.float32)
    alone = [packed_states(packed, [s])[0] for s in SEQUENCES]
    together = packed_states(packed, SEQUENCES)
    backwards = packed_states(packed, SEQUENCES[::-1])[::-1]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(backwards, alone, strict=True))
    one, two = packed_states(packed, [SEQUENCES[4], SEQUENCES[4]])
    assert torch.equal(one, two)


def test_several_layers_side_by_side_or_their_mean(folder: Path) -> None:
    weights = load_weights(str(folder / "base")).weights
    single = {i: packed_states(PackedEsmc(weights, CPU, torch.float32, [i]), SEQUENCES) for i in (0, 2, 3)}
    both = PackedEsmc(weights, CPU, torch.float32, [3, 0])
    assert both.row_width == 256
    for states, last, first in zip(packed_states(both, SEQUENCES), single[3], single[0], strict=True):
        assert torch.equal(states, torch.cat([last, first], dim=1))
    mean = PackedEsmc(weights, CPU, torch.float32, [0, 2, -1], "mean")
    assert mean.row_width == 128
    expected = [torch.stack(parts).mean(0) for parts in zip(*single.values(), strict=True)]
    assert all(torch.equal(a, b) for a, b in zip(packed_states(mean, SEQUENCES), expected, strict=True))


def test_plain_layers_give_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build of torch without oneDNN, or a GPU, runs."""
    weights = load_weights(str(folder / "base")).weights
    packed = packed_states(PackedEsmc(weights, CPU, torch.float32), SEQUENCES)
    monkeypatch.setattr(plain, "BLOCK_TOKENS", None)
    unpacked = PackedEsmc(weights, CPU, torch.float32)
    assert isinstance(unpacked._stack, PlainStack)
    assert isinstance(unpacked._stack._blocks[0]._q, PlainLinear)
    assert worst(packed_states(unpacked, SEQUENCES), packed) < FP32


def test_the_number_of_threads_changes_nothing(folder: Path) -> None:
    packed = PackedEsmc(load_weights(str(folder / "base")).weights, CPU, torch.float32)
    one = packed_states(packed, SEQUENCES)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert all(torch.equal(a, b) for a, b in zip(packed_states(packed, SEQUENCES), one, strict=True))
    finally:
        torch.set_num_threads(threads)


def test_the_gate_finds_a_wrong_encoder(folder: Path) -> None:
    loaded = load_weights(str(folder / "base"))
    for dtype, layers in ((torch.float32, [-1]), (torch.float32, [1, 3]), (torch.bfloat16, [-1])):
        parity = check_parity(PackedEsmc(loaded.weights, CPU, dtype, layers), loaded, SEQUENCES)
        assert parity.against_reference < (BF16 if dtype == torch.bfloat16 else FP32)
        assert dtype == torch.bfloat16 or parity.alone_against_batch == 0.0
    broken = PackedEsmc(loaded.weights, CPU, torch.float32)
    assert isinstance(broken._stack, PlainStack)
    broken._stack.inverse_frequency *= 1.001
    with pytest.raises(EnvironmentProblem, match="differs from transformers' ESM C by"):
        check_parity(broken, loaded, SEQUENCES)


def test_the_sample_of_the_gate_spans_all_lengths() -> None:
    sequences = random_sequences([1, 2046, 2047, *range(10, 500)])
    lengths = [len(s) for s in sample(sequences)]
    assert len(lengths) == 16
    assert (lengths[0], lengths[-1]) == (1, 2046)
    assert lengths == sorted(set(lengths))


def test_a_neighbour_of_equal_length_changes_nothing(folder: Path) -> None:
    """Equal shapes are the same arithmetic, so here not one bit may differ."""
    packed = PackedEsmc(load_weights(str(folder / "base")).weights, CPU, torch.float32)
    first = packed_states(packed, [SEQUENCES[2], SEQUENCES[3]])[0]
    second = packed_states(packed, [SEQUENCES[2], SEQUENCES[4]])[0]
    assert torch.equal(first, second)


def test_tokens_are_those_of_the_public_tokenizers() -> None:
    public, older = EsmcTokenizer(), EsmSequenceTokenizer()
    for text in [*LETTERS, LETTERS, *SEQUENCES]:
        assert tokenize([text])[0].tolist() == public(text)["input_ids"] == older(text)["input_ids"]
    tokens, lengths = tokenize(SEQUENCES)
    assert tokens.tolist() == [token for text in SEQUENCES for token in public(text)["input_ids"]]
    assert lengths == [len(text) + 2 for text in SEQUENCES]


def test_positions_begin_anew_in_each_sequence() -> None:
    assert positions([3, 1, 2]).tolist() == [0, 1, 2, 0, 0, 1]


def test_every_other_letter_is_refused() -> None:
    public = EsmcTokenizer()
    for code in range(128):
        if chr(code) not in LETTERS:
            with pytest.raises(ValueError, match=r"at position 3 is not an amino acid"):
                tokenize(["ACD", f"AC{chr(code)}D"])
    for text in ("acd", "ACJ", "AC*", "A C", "<pad>", "AC-D", "A.C", "AC|D"):
        with pytest.raises(ValueError, match="not an amino acid"):
            tokenize([text])
    with pytest.raises(ValueError, match="outside ASCII"):
        tokenize(["ACDÄ"])
    with pytest.raises(ValueError, match="no sequence"):
        tokenize([])
    assert public("acJ*")["input_ids"] == [0, 3, 3, 3, 3, 2]  # what we refuse, the public one hides


def test_a_layer_that_does_not_exist() -> None:
    weights = tiny_random_weights().weights
    for layer in (-2, 3):
        with pytest.raises(ValueError, match="0 \\(embedding\\) to 2, or -1"):
            PackedEsmc(weights, CPU, torch.float32, [layer])
    for layers in ([], [1, 1], [2, -1]):
        with pytest.raises(ValueError, match="name at least one, and none twice"):
            PackedEsmc(weights, CPU, torch.float32, layers)


def test_the_encoder_gives_the_rows_of_the_residues(folder: Path) -> None:
    loaded = load_weights(str(folder / "head"))
    encoder = build_encoder("esmc", loaded, CPU, "auto", [-1], "concat", 64)
    ordered = sorted(SEQUENCES, key=len)
    expected = transformers_states(load_reference(folder / "head"), ordered)[-1]
    rows = encoder.embed(ordered)
    assert rows.dtype == torch.float32
    assert worst([rows], [torch.cat([e[1:-1] for e in expected])]) < FP32
    assert encoder.facts["weights_sha256"] == loaded.sha256
    assert encoder.facts["arithmetic"] == "fp32"
    assert "RANDOM" not in encoder.facts["description"]
