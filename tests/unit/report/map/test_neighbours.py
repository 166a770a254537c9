"""Before UMAP is loaded: are there enough training sequences? `tests/bench/umap_of_report.py` looks at UMAP itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from snw_dist.report.map.neighbours import FEWEST, neighbour_places


def test_too_few_make_no_map_and_load_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    assert neighbour_places(np.eye(FEWEST), np.arange(FEWEST) > 0, seed=1) is None
    with pytest.raises(ModuleNotFoundError, match="umap"):
        neighbour_places(np.eye(FEWEST), np.arange(FEWEST) >= 0, seed=1)
