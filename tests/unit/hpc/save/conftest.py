"""The `quick_claims` fixture: claims that are given up sooner than in a run."""

from __future__ import annotations

import pytest

from hpc.save import claims, fence


@pytest.fixture
def quick_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "BEAT_S", 0.1)
    monkeypatch.setattr(claims, "PATIENCE_S", 1.5)
