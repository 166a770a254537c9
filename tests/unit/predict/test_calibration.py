"""A calibration beside its weights: what is read is what was saved, and anything else is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.disk.sealed import sealed
from hpc.errors import CorruptError
from snw_dist.evaluate.measure.calibration import save_calibration
from snw_dist.predict.calibration import Calibration, load_calibration
from tests.kit.evaluate_tools import exported_siamese, made_of


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return exported_siamese(tmp_path, 1)


def test_any_flipped_bit_of_a_calibration_is_seen(export: Path) -> None:
    rising = Calibration("isotonic", points=tuple((x / 20, (x / 20) ** 2) for x in range(21)))
    save_calibration(export, rising, "val", 60, made_of(export))
    good = (export / "calibration.json").read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(good), 200):
        data = bytearray(good)
        data[bit // 8] ^= 1 << int(bit) % 8
        (export / "calibration.json").write_bytes(data)
        with pytest.raises(CorruptError, match=r"calibration\.json"):
            load_calibration(export)


@pytest.mark.parametrize(
    "change",
    [
        {"method": "other"},
        {"method": "isotonic"},
        {"temperature": None},
        {"temperature": "2.0"},
        {"temperature": -1.0},
        {"temperature": 10**400},
        {"points": [[0.1, 0.2]]},
        {"method": "isotonic", "temperature": None, "points": [[0.1, 0.2], [0.1, 0.1]]},
        {"method": "isotonic", "temperature": None, "points": [[0.1, 2.0]]},
        {"method": "isotonic", "temperature": None, "points": [[0.1]]},
        {"method": "isotonic", "temperature": None, "points": [["0.1", "0.2"]]},
        {"points": None},
        {"made_of": {}},
        {"made_of": []},
        {"fitted_on": 3},
        {"more": 1},
    ],
    ids=str,
)
def test_a_calibration_that_means_harm(export: Path, change: dict[str, Any]) -> None:
    """Its own digest is right."""
    save_calibration(export, Calibration("temperature", 2.0), "val", 9, made_of(export))
    content = json.loads((export / "calibration.json").read_text())
    del content["sha256"]
    (export / "calibration.json").write_bytes(sealed(content | change))
    with pytest.raises(CorruptError, match=r"calibration\.json") as caught:
        load_calibration(export)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 10**6, b'{"sha256": 3}'], ids=range(7))
def test_what_is_no_calibration(export: Path, data: bytes) -> None:
    (export / "calibration.json").write_bytes(data)
    with pytest.raises(CorruptError, match=r"calibration\.json.*snw-dist evaluate"):
        load_calibration(export)
    (export / "calibration.json").unlink()
    os.mkfifo(export / "calibration.json")
    with pytest.raises(CorruptError, match="not a regular file"):
        load_calibration(export)
