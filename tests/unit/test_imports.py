"""What is loaded before it is used: a help text needs no torch, and a rank nothing that makes data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from snw_dist.extras import EXTRAS

ROOT = Path(__file__).resolve().parents[2]
LAUNCHERS = (
    "compare",
    "doctor",
    "embed",
    "evaluate",
    "export",
    "init",
    "inspect",
    "predict",
    "prepare",
    "report",
    "runs",
    "screen",
    "status",
    "train",
)
HEAVY = {
    *("torch", "pandas", "numpy", "zarr", "deepspeed", "scipy", "sklearn", "matplotlib", "transformers", "pyarrow"),
    "submitit",
}
MOST_OF_OURS = 50
"""Modules of this project behind a help text, packages included: 45 today, and 76 to 213 with what a command does."""
READERS = {
    *("snw_dist.data", "snw_dist.data.ensure", "snw_dist.data.prepared", "snw_dist.data.summary"),
    *("snw_dist.data.tables", "snw_dist.data.trained"),
    *("snw_dist.data.files", "snw_dist.data.files.inputs", "snw_dist.data.files.parquet"),
    *("snw_dist.data.scores", "snw_dist.data.scores.transform"),
}


def loaded_by(code: str) -> set[str]:
    """The modules that a Python of its own has loaded once it has run `code`."""
    code = f"import json, sys\n{code}\nsys.stderr.write(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] in ("hpc", "snw_dist", "launch")}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_a_help_text_loads_nothing_heavy(name: str) -> None:
    loaded = loaded_by(
        f"import launch.{name}\n"
        f"try:\n    launch.{name}.app(['--help'])\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert not {module.split(".")[0] for module in loaded} & HEAVY
    assert f"launch.{name}" in loaded
    assert len(ours(loaded)) <= MOST_OF_OURS


def test_every_launcher_is_asked() -> None:
    assert {file.stem for file in (ROOT / "launch").glob("[!_]*.py")} == set(LAUNCHERS)


def test_a_rank_that_trains_loads_what_reads_prepared_data_alone() -> None:
    assert {m for m in ours(loaded_by("import snw_dist.train.run")) if m.startswith("snw_dist.data")} <= READERS


def test_the_package_costs_nothing_until_it_is_asked_for_a_scorer() -> None:
    assert not {module.split(".")[0] for module in loaded_by("import snw_dist")} & HEAVY
    loaded = loaded_by("from snw_dist import PairScorer")
    assert "snw_dist.scoring.scorer" in loaded
    unwanted = {"huggingface_hub", *(module for brought in EXTRAS.values() for module in brought)}
    assert not {module.split(".")[0] for module in loaded} & unwanted


def test_the_one_command_loads_what_is_asked_for() -> None:
    run = (
        "import launch._console\ntry:\n    launch._console.app({})\nexcept SystemExit as end:\n    assert not end.code"
    )
    both = [loaded_by(run.format(words)) for words in (["--help"], ["predict", "--help"])]
    for loaded in both:
        assert not {module.split(".")[0] for module in loaded} & HEAVY
    assert all(f"launch.{name}" in both[0] for name in LAUNCHERS)  # each says its own sentence
    assert {name for name in both[1] if name.startswith("launch.") and "._" not in name} == {"launch.predict"}
    assert "launch._submit" not in both[1]
    assert len(ours(both[1])) <= MOST_OF_OURS
