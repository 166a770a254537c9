"""Sequences beyond the trained context, and how much goes through the encoder at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from snw_dist.embedding.encoder import WINDOW_OVERLAP, build_encoder
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT, PackedEsmc, tokenize
from snw_dist.embedding.weights.read import tiny_random_weights
from tests.kit.embedding_tools import random_sequences

CPU = torch.device("cpu")
LOADED = tiny_random_weights(d_model=64, num_layers=1, intermediate=64)


def test_a_long_sequence_follows_the_stated_rule() -> None:
    """5,000 residues: windows of 2,046 at 0, 1,534 and 2,954, which meet in the middle of their overlaps."""
    (sequence,) = random_sequences([5000])
    size, starts = TRAINED_CONTEXT - 2, [0, 1534, 2954]
    assert starts == [0, size - WINDOW_OVERLAP, 5000 - size]
    packed = PackedEsmc(LOADED.weights, CPU, torch.float32)
    cuts = [0, (size + 1534) // 2, (1534 + size + 2954) // 2, 5000]
    pieces = []
    for start, first, last in zip(starts, cuts, cuts[1:], strict=False):
        states = packed.forward(*tokenize([sequence[start : start + size]]))[1:-1]
        pieces.append(states[first - start : last - start])
    expected = torch.cat(pieces).numpy()
    assert expected.shape == (5000, 64)
    for tokens in (1, 2048, 4096, 100_000):
        rows = build_encoder("esmc-tiny-random", LOADED, CPU, "fp32", [-1], "concat", tokens).embed([sequence])
        assert np.abs(rows.numpy() - expected).max() < 1e-5


def test_long_and_short_ones_in_one_call() -> None:
    sequences = random_sequences([5, 5, 30, 2046, 2047, 2600])
    encoder = build_encoder("esmc-tiny-random", LOADED, CPU, "fp32", [-1], "concat", 3000)
    together = encoder.embed(sequences)
    alone = torch.cat([encoder.embed([s]) for s in sequences])
    assert together.shape == (sum(map(len, sequences)), 64)
    assert torch.equal(together, alone)


@pytest.mark.parametrize("tokens_per_batch", [64, 2048, 5000])
def test_no_forward_pass_is_larger_than_a_batch_or_one_window(
    tokens_per_batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = random_sequences([1] * 50 + [10, 20, 62, 63, 500, 2046, 2047, 9000])
    sizes: list[int] = []
    forward = PackedEsmc.forward

    def counted(self: PackedEsmc, tokens: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        sizes.append(sum(lengths))
        assert len(tokens) == sizes[-1]
        assert sizes[-1] <= tokens_per_batch or len(lengths) == 1
        assert max(lengths) <= TRAINED_CONTEXT
        return forward(self, tokens, lengths)

    monkeypatch.setattr(PackedEsmc, "forward", counted)
    rows = build_encoder("esmc-tiny-random", LOADED, CPU, "fp32", [-1], "concat", tokens_per_batch).embed(sequences)
    assert len(rows) == sum(map(len, sequences))
    assert max(sizes) <= max(tokens_per_batch, TRAINED_CONTEXT)
    assert len(sizes) >= sum(sizes) // max(tokens_per_batch, TRAINED_CONTEXT)


def test_a_letter_outside_the_vocabulary_stops_the_encoder() -> None:
    encoder = build_encoder("esmc-tiny-random", LOADED, CPU, "fp32", [-1], "concat", 3000)
    with pytest.raises(ValueError, match="letter 'J' at position 2"):
        encoder.embed(["ACD", "AJC"])
