"""Bundles of every network, made once; no test changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snw_dist.config import SnwConfig
from tests.kit.bundle_tools import bundled, compared_runs, measured_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return measured_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def made(run: SnwConfig) -> Path:
    """Of one member."""
    return bundled(run, run.run_folder / "bundle")


@pytest.fixture(scope="session")
def several(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return compared_runs(tmp_path_factory.mktemp("compared"), ["siamese", "cross_attention"], [1, 2])
