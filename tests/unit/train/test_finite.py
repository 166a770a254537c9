"""Which tensor is not finite, when fp16 may skip on, and what is never saved, resumed, exported or called best."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hpc.errors import CorruptError
from snw_dist.train.finite import NotFiniteError, find_suspect, refuse_not_finite
from snw_dist.train.flat import parts_of
from snw_dist.train.gradients import GradientWatch
from snw_dist.train.portable import Piece, Snapshot, read_into, snapshot, write_snapshot
from snw_dist.train.progress import Progress
from snw_dist.train.verdict import MOST_SKIPPED, why_no_step, why_to_end


def tensors(*values: list[float]) -> list[tuple[int, str, torch.Tensor]]:
    return [(place, f"p{place}", torch.tensor(value)) for place, value in enumerate(values)]


def test_the_first_that_is_not_finite_is_found_or_else_the_largest() -> None:
    nan, inf = math.nan, math.inf
    assert find_suspect([]) is None
    assert find_suspect(tensors([])) is None
    assert find_suspect(tensors([1.0, -3.0], [2.0])) == (0, "p0", "-3")
    assert find_suspect(tensors([1e38], [2.0, nan], [inf])) == (1, "p1", "nan")
    assert find_suspect(reversed(tensors([1.0], [], [-inf, 1.0], [nan]))) == (2, "p2", "-inf")
    assert find_suspect(tensors([nan, inf])) == (0, "p0", "nan")
    with pytest.raises(NotFiniteError, match=r"step 7: the weights of 'b' are not finite \(inf\)"):
        refuse_not_finite({"a": torch.ones(2), "b": torch.tensor([1.0, inf])}, "step 7")
    refuse_not_finite({"a": torch.ones(2), "empty": torch.zeros(0)}, "step 7")


def test_of_all_ranks_the_first_parameter_is_named() -> None:
    text = why_no_step(0.5, [None, (4, "late", "nan"), (2, "early", "inf"), (1, "good", "3")])
    assert text == "the gradient of 'early' is not finite (inf, rank 2); the loss is 0.5"
    text = why_no_step(0.5, [(4, "small", "3"), (2, "large", "-3e+30")])
    assert (
        text == "the norm of the gradients is not finite; the largest is in 'large' (-3e+30, rank 1); the loss is 0.5"
    )
    assert "did not take the step" in why_no_step(0.5, [None, None])


def test_fp16_skips_no_longer_than_its_scale_can_fall() -> None:
    assert why_to_end(1, False, "problem") is None
    assert why_to_end(MOST_SKIPPED - 1, False, "problem") is None
    assert "50th step in a row" in str(why_to_end(MOST_SKIPPED, False, "problem"))
    text = str(why_to_end(3, True, "problem"))
    assert text.startswith("skipped at the smallest loss scale: problem")
    assert "--allow-precision-change" in text


def test_nan_is_never_the_best() -> None:
    progress = Progress(step=3)
    assert not progress.record(math.nan)
    assert progress == Progress(step=3, worse_in_a_row=1)
    assert progress.record(-math.inf)
    assert progress.record(0.5)
    assert not progress.record(math.nan)
    assert (progress.best_value, progress.best_step, progress.worse_in_a_row) == (0.5, 3, 1)


def state(count: int = 6) -> tuple[list[Piece], torch.optim.AdamW]:
    owner = torch.arange(float(count + 2), requires_grad=True)
    adam = torch.optim.AdamW([owner])
    owner.sum().backward()  # type: ignore[no-untyped-call]
    adam.step()
    return [Piece("first", 0, 2, owner, 0), Piece("second", 0, count - 2, owner, 3)], adam


@pytest.mark.parametrize("kind", ["master", "exp_avg", "exp_avg_sq"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_state_that_is_not_finite_is_neither_saved_nor_taken_up(tmp_path: Path, kind: str, value: float) -> None:
    """As from moments that were damaged: loss and gradients are finite in the step that spoils the weights."""
    pieces, adam = state()
    good = snapshot(pieces, adam)
    damaged = dict(good.tensors) | {kind: good.tensors[kind].clone()}
    damaged[kind][-1] = value
    with pytest.raises(CorruptError, match=f"{kind} of 'second' is not finite"):
        write_snapshot(tmp_path, 0, Snapshot(damaged, good.pieces))
    assert not list(tmp_path.iterdir())
    # A file that someone else has written so.
    save_file(damaged, tmp_path / "state_00000.safetensors", {"pieces": json.dumps(good.pieces)})
    with pytest.raises(CorruptError, match=f"state_00000.safetensors: {kind} of 'second' is not finite"):
        read_into(tmp_path, 1, pieces, adam, 1)


def test_the_file_is_read_by_the_library_and_aligned(tmp_path: Path) -> None:
    pieces, adam = state(9)
    kept = snapshot(pieces, adam)
    [name] = write_snapshot(tmp_path, 0, kept)
    found = load_file(tmp_path / name)
    assert found.keys() == kept.tensors.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in kept.tensors.items())
    header = int.from_bytes((tmp_path / name).read_bytes()[:8], "little")
    assert header % 8 == 0


def test_plain_clipping_names_the_gradient_and_changes_no_weight() -> None:
    network = torch.nn.Linear(2, 2)
    named: dict[str, Any] = dict(network.named_parameters())
    adam = torch.optim.AdamW(network.parameters(), lr=0.1)
    watch = GradientWatch(adam, adam, 0, named, parts_of(network))
    before = network.weight.detach().clone()
    for value, stepped in [(3.0, True), (math.nan, False), (1e30, False)]:  # the square of the last is too large
        for parameter in network.parameters():
            parameter.grad = torch.full_like(parameter, value)
        watch.begin()
        norm = watch.clip(1.0)
        if stepped:
            assert norm == pytest.approx(3 * math.sqrt(6))
            assert float(torch.nn.utils.get_total_norm([named[name].grad for name in named])) == pytest.approx(1.0)
        adam.step()
        assert watch.stepped(norm) == stepped
        assert torch.equal(network.weight, before) != stepped
        before = network.weight.detach().clone()
        assert (watch.suspect is None) == stepped
    watch.begin()
    assert not watch.stepped(1.0), "nobody called AdamW"
