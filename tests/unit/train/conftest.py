"""The checkpoints that the tests of training damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.saved_tools import save


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    save(tmp_path, 60)
    return save(tmp_path, 76)
