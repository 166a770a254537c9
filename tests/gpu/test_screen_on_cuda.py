"""The best partners by a CUDA device: any blocks give the same, and a processor's lists but for the last digits."""

from __future__ import annotations

import pytest
import torch

from snw_dist.screen.product import best as module
from snw_dist.screen.product.best import best_of
from tests.kit.vectors import directly, same, unit_vectors

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_the_lists_of_a_processor(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = unit_vectors(200_000, 64, 1, dtype), unit_vectors(300, 64, 2, dtype)
    found = best_of(left, right, 100, 1.1, device=torch.device("cuda"))
    monkeypatch.setattr(module, "SPAN", 50_000)
    monkeypatch.setattr(module, "BLOCK", {"cuda": (2048, 128)})
    assert same(best_of(left, right, 100, 1.1, device=torch.device("cuda")), found)
    some = directly(left, right[:20], 101, 1.1)
    assert (some.score[:, :100] - found.score[:20]).abs().max() < 1e-6
    apart = (some.score.diff(dim=1) < -1e-6).all(dim=1)  # no order is in doubt
    assert apart.any()
    assert torch.equal(some.index[apart, :100], found.index[:20][apart])
