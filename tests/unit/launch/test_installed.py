"""As whoever is handed a bundle has it: `pip install .` without extras, no checkout, no run, and any folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snw_dist.extras import EXTRAS
from tests.kit.bundle_tools import bundled, measured_pairs, measured_run

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("hpc", "snw_dist", "launch")
HIDDEN = sorted({"esm", "h5py", "joblib", *(module for brought in EXTRAS.values() for module in brought)})
THREE_LINES = """
from snw_dist import PairScorer
scorer = PairScorer.load({folder!r})
score = scorer.score([{ligand!r}], [{receptor!r}]).score[0]
import snw_dist
print(snw_dist.__file__, score.hex(), scorer.loading.difference)
try:
    PairScorer.load({folder!r}, cache="store.zarr")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packages; whatever only an extra brings cannot be imported beside them."""
    sources, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("installed")
    for package in SOURCES:
        shutil.copytree(ROOT / package, sources / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    alone = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *alone, "--target", str(target), str(sources)]
    subprocess.run(pip, check=True, timeout=120)
    (target / "sitecustomize.py").write_text(f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN}))\n")
    return target


@pytest.fixture(scope="module")
def handed_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str, float]:
    """A bundle whose run is gone, in a folder that may not be written, and a pair with the score of `evaluate`."""
    run = measured_run(tmp_path_factory.mktemp("run"))
    made = bundled(run, tmp_path_factory.mktemp("handed on") / "für Ärzte, 2 Stück")
    row = measured_pairs(run).iloc[0]
    shutil.rmtree(run.run_folder.parent)
    made.chmod(0o500)
    return made, row["ligand"], row["receptor"], float(row["score"])


def ran(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    environ["PYTHONPATH"] = str(installed)
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_three_lines_score_a_pair(installed: Path, handed_on: tuple[Path, str, str, float], tmp_path: Path) -> None:
    folder, ligand, receptor, score = handed_on
    lines = THREE_LINES.format(folder=str(folder), ligand=ligand, receptor=receptor)
    done = ran(installed, tmp_path, sys.executable, "-c", lines)
    assert done.returncode == 0, done.stderr
    found, refused = done.stdout.splitlines()
    assert found.split() == [str(installed / "snw_dist" / "__init__.py"), score.hex(), "0.0"]
    assert refused.startswith("EnvironmentProblem not installed: crc32c.")
    assert refused.endswith('pip install "snw-dist[train]"')


def test_the_one_command(installed: Path, handed_on: tuple[Path, str, str, float], tmp_path: Path) -> None:
    folder, ligand, receptor, score = handed_on
    command = [str(installed / "bin" / "snw-dist"), "predict", "--bundle", str(folder)]
    done = ran(installed, tmp_path, *command, "--ligand", ligand, "--receptor", receptor)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split(",")[:3] == [ligand, receptor, repr(score)]


def test_a_bundle_is_checked_without_a_configuration(
    installed: Path, handed_on: tuple[Path, str, str, float], tmp_path: Path
) -> None:
    done = ran(installed, tmp_path, str(installed / "bin" / "snw-dist"), "export", "--verify", str(handed_on[0]))
    assert done.returncode == 0, done.stderr
    assert "each as bundle.json says" in done.stdout
