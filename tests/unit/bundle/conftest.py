"""One measured run and one comparison with their bundles, for all tests of this room; none of them changes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from snw_dist.config import SnwConfig
from tests.kit.bundle_tools import bundled, compared_runs, measured_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return measured_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return compared_runs(tmp_path_factory.mktemp("compared"), ["siamese", "triplet"], [1, 2])


@pytest.fixture(scope="session")
def made(run: SnwConfig) -> Path:
    """A bundle of one member."""
    return bundled(run, run.run_folder / "bundle")


@pytest.fixture
def bundle(made: Path, tmp_path: Path) -> Path:
    """That a test may change."""
    shutil.copytree(made, tmp_path / "bundle")
    return tmp_path / "bundle"
