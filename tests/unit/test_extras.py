"""A package that an extra brings: the table is that of setup.cfg, and where one is missing a line says which extra."""

from __future__ import annotations

import configparser
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hpc.errors import EnvironmentProblem
from snw_dist import extras
from snw_dist.extras import EXTRAS, missing_extra, require

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_table_is_that_of_the_setup(extra: str) -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = [line for line in setup["options.extras_require"][extra].split("\n") if line and not line.startswith("#")]
    named = {Requirement(line).name.lower() for line in lines} - {"mpich"}  # a library of C
    brought = packages_distributions()
    assert {name.lower() for module in EXTRAS[extra] for name in brought[module]} == named


def test_what_is_there_is_not_said() -> None:
    require("zarr", "submitit")
    assert missing_extra(ModuleNotFoundError("No module named 'nobody'", name="nobody")) is None


def test_what_is_missing_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "zarr", None)
    monkeypatch.setitem(sys.modules, "submitit", None)
    here = r'^not installed: zarr, submitit\. Install what this command needs, in .*: pip install "\.\[train,slurm\]"$'
    with pytest.raises(EnvironmentProblem, match=here):
        require("zarr", "crc32c", "submitit")
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "snw_dist" / "extras.py"))  # no checkout
    problem = missing_extra(ModuleNotFoundError("No module named 'zarr.codecs'", name="zarr.codecs"))
    assert str(problem) == 'not installed: zarr. Install what this command needs, pip install "snw-dist[train]"'
