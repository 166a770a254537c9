"""The definition of the Apptainer image: what it copies is there, and it installs what `make venv` does."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFINITION = (ROOT / "slurm" / "snw-dist.def").read_text(encoding="utf-8")


def section(name: str) -> list[str]:
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", DEFINITION, re.MULTILINE | re.DOTALL)
    assert found
    return [line.strip() for line in found[1].splitlines() if line.strip()]


def test_what_it_copies_is_there_and_is_all_that_an_installation_needs() -> None:
    copied = dict(line.split() for line in section("files"))
    assert all((ROOT / name).exists() for name in copied)
    assert all(target == f"/opt/snw-dist/{name}" for name, target in copied.items())
    setup = (ROOT / "setup.cfg").read_text()
    assert {"hpc", "snw_dist", "launch", "setup.cfg", "pyproject.toml", "constraints.txt"} <= set(copied)
    assert {"README.md", "LICENSE"} <= {name for name in copied if name in setup}


def test_it_installs_as_make_venv_does() -> None:
    installs = [line.rpartition("constraints.txt ")[2] for line in section("post") if "pip install" in line]
    made = [line.split(")")[-1].strip() for line in (ROOT / "Makefile").read_text().splitlines() if "$(PIP)" in line]
    extras = re.compile(r"\[(.*)\]")
    assert len(installs) == len(made) == 3
    assert (installs[0], installs[2]) == (made[0], made[2])
    [wanted], [full] = extras.findall(installs[1]), extras.findall(made[1])
    assert set(wanted.split(",")) <= set(full.split(","))
    assert set(full.split(",")) - set(wanted.split(",")) <= {*("slurm", "mpi", "dev"), *("umap", "mlflow", "wandb")}
