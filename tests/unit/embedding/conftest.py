"""Small ESM C in the forms of the public packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def model() -> Any:
    """Of the esm package; no test changes it."""
    from tests.kit.weights_tools import esm_model

    return esm_model()


@pytest.fixture
def state(model: Any) -> dict[str, Any]:
    """Its tensors, of which a test may do with its own what it likes."""
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As transformers saves it."""
    from tests.kit.weights_tools import folder_model

    folder_model().save_pretrained(tmp_path / "folder")
    return tmp_path / "folder"
