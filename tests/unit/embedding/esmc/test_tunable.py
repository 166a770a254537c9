"""ESM C in the graph: at step 0 the rows of the store, then gradients for what is trained and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from snw_dist.embedding.esmc import tunable as tunable_module
from snw_dist.embedding.esmc.architecture import EsmcWeights
from snw_dist.embedding.esmc.packed import Combine, PackedEsmc, tokenize
from snw_dist.embedding.esmc.tunable import TunableEsmc
from snw_dist.embedding.weights.read import tiny_random_weights

LIGANDS, RECEPTORS = ["ACDEFG", "MKVWYYAC", "A", "LLLLWRTSEQ"], ["ACDEFGHIKLMNPQRSTVWYACDE", "MMMMKV"]


@pytest.fixture(scope="module")
def weights() -> EsmcWeights:
    return tiny_random_weights(num_layers=3).weights


def side(sequences: list[str], padding: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Residues with garbage in their padding, and their mask."""
    length = max(map(len, sequences)) + padding
    residues, mask = torch.full((len(sequences), length), 7), torch.zeros(len(sequences), length, dtype=torch.bool)
    for row, sequence in enumerate(sequences):
        residues[row, : len(sequence)] = tokenize([sequence])[0][1:-1]
        mask[row, : len(sequence)] = True
    return residues, mask


@pytest.mark.parametrize("rank", [None, 4])
@pytest.mark.parametrize(("layers", "combine"), [([3], "concat"), ([0, 1, 3], "concat"), ([1, 2], "mean")])
def test_the_rows_of_the_store(weights: EsmcWeights, layers: list[int], combine: Combine, rank: int | None) -> None:
    stored = PackedEsmc(weights, torch.device("cpu"), torch.float32, layers, combine)
    tunable = TunableEsmc(weights, layers, combine, rank)
    found = tunable(side(LIGANDS), side(RECEPTORS, padding=3))
    for sequences, states in zip((LIGANDS, RECEPTORS), found, strict=True):
        assert states.shape[2] == stored.row_width == tunable.row_width
        for sequence, rows in zip(sequences, states, strict=True):
            expected = stored.forward(*tokenize([sequence]))[1:-1]
            torch.testing.assert_close(rows[: len(sequence)], expected, atol=2e-5, rtol=1e-4)
            assert not rows[len(sequence) :].any()
    with torch.no_grad():  # without the checkpoints of activations
        assert all(map(torch.equal, tunable(side(LIGANDS), side(RECEPTORS, padding=3)), found))


@pytest.mark.parametrize("rank", [None, 4])
def test_gradients(weights: EsmcWeights, rank: int | None) -> None:
    tunable = TunableEsmc(weights, [3], "concat", rank)
    tunable(side(LIGANDS))[0].square().sum().backward()
    for name, parameter in tunable.named_parameters():
        assert parameter.requires_grad == (rank is None or ".updates." in name), name
        assert (parameter.grad is not None) == parameter.requires_grad, name
        zero_at_first = rank is not None and name.endswith(".down")  # as `up` is 0
        assert parameter.grad is None or parameter.grad.any() or zero_at_first, name
    trained = sum(p.numel() for p in tunable.parameters() if p.requires_grad)
    assert rank is None or trained == 3 * 4 * 2 * rank * weights.d_model


def test_the_gradient_is_that_without_checkpoints(weights: EsmcWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for checkpoints in (True, False):
        if not checkpoints:
            monkeypatch.setattr(
                "snw_dist.embedding.esmc.tunable.checkpoint", lambda block, *inputs, **_: block(*inputs)
            )
        tunable = TunableEsmc(weights, [3], "concat", None)
        tunable(side(LIGANDS), side(RECEPTORS))[1].square().sum().backward()
        gradients.append([parameter.grad for parameter in tunable.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("rank", [None, 4])
def test_operations_of_a_sequence(weights: EsmcWeights, rank: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch counts them in real passes of one and of two sequences that compute nothing again."""
    tunable = TunableEsmc(weights, [2], "concat", rank)
    monkeypatch.setattr(tunable_module, "checkpoint", lambda block, *inputs, **_: block(*inputs))
    found = []
    for number in (1, 2):
        with FlopCounterMode(display=False) as peer, sdpa_kernel(SDPBackend.MATH):
            tunable(side(["ACDEFGHIK"] * number))[0].sum().backward()
        found.append(peer.get_total_flops())
    assert tunable.operations(9) == found[1] - found[0]
    assert all(parameter.device.type == "cpu" for parameter in tunable.parameters())
