"""What `tests/gpu/test_two_devices.py` does on two devices, on processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.two_ranks import embedding_difference, training_differences

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]


def test_two_ranks_embed_as_one_does(tmp_path: Path) -> None:
    assert embedding_difference(tmp_path, "cpu") == 0.0


def test_two_ranks_train_as_one_does_in_every_stage(tmp_path: Path) -> None:
    found = training_differences(tmp_path, "cpu", "fp32")
    assert set(found) == {"w1z0-w2z1", "w1z0-w2z2", "w1z0-w2z3"}
    assert max(found.values()) <= 1e-5
