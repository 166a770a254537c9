"""One trained run for all tests that need one; none of them changes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.kit.tiny import configured, trained, write_project


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has finished: 4 steps, of 3 an epoch."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    folder.mkdir()
    write_project(folder)
    rank = trained(configured(folder), folder.parent / "log")
    assert rank.returncode == 0, rank.log
    return folder


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """That a test may change."""
    shutil.copytree(project, tmp_path / "copy")
    return tmp_path / "copy"
