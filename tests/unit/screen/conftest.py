"""A tiny bundle and two libraries, made once; no test changes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from snw_dist.screen import preflight
from snw_dist.screen.asked import Asked
from tests.kit.bundle_tools import bundled, measured_run, with_model
from tests.kit.screen_tools import SMALL, write_library


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`bundle`, `l.fasta` with a duplicate under another id, `r.fasta`."""
    folder = tmp_path_factory.mktemp("screen")
    bundled(measured_run(folder, **with_model("pseudo_siamese")), folder / "bundle")
    first = write_library(folder / "l.fasta", {8: 30, 9: 10, 70: 3}, 1)[0]
    with (folder / "l.fasta").open("a") as file:
        file.write(f">twin\n{first.lower()}\n")
    write_library(folder / "r.fasta", {12: 3, 30: 2, 100: 1}, 2)
    return folder


@pytest.fixture(autouse=True)
def short_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast this machine is matters to no test."""
    monkeypatch.setattr(preflight, "_TRIAL_S", 0.0)


@pytest.fixture
def asked(inputs: Path, tmp_path: Path) -> Asked:
    files = {"bundle": str(inputs / "bundle"), "ligands": inputs / "l.fasta", "receptors": inputs / "r.fasta"}
    return Asked(**files, to=tmp_path / "screen", top=5, **SMALL)
