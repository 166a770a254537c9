"""Files of settings, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpc.errors import InputError


def write(folder: Path, values: Any) -> Path:
    path = folder / "SNW_config.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)
