"""A bundle in a folder, or in a repository of the hub, whose cache has links."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.bundle.locate import find_bundle
from tests.kit.hub import COMMIT, hub_of
from tests.kit.ranks import REPOSITORY


def test_a_folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bundle(made).folder == made
    monkeypatch.chdir(made.parent)
    assert find_bundle("bundle").says.name == "tiny"


@pytest.fixture(scope="module")
def fetched(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The cache that the hub's own library has filled from a repository, and the snapshot in it, which was loaded."""
    home = tmp_path_factory.mktemp("hub")
    code = (
        "from snw_dist import PairScorer\n"
        "scorer = PairScorer.load('someone/mhc-i', device='cpu')\n"
        "assert scorer.loading.difference == 0.0\n"
        "print(scorer.bundle.folder)"
    )
    with hub_of(made, "someone/mhc-i") as address:
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=REPOSITORY,
            env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return home / "hub", Path(done.stdout.strip())


def test_a_repository_of_the_hub(fetched: tuple[Path, Path]) -> None:
    """As it is, with what the hub adds; in its cache every file is a link, also below members."""
    cache, snapshot = fetched
    assert snapshot == cache / "models--someone--mhc-i" / "snapshots" / COMMIT
    names = [path for path in snapshot.rglob("*") if not path.is_dir()]
    assert snapshot / ".gitattributes" in names
    assert all(path.is_symlink() for path in names)


def test_what_was_fetched_once_needs_no_network(fetched: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the id, and by the folder that `hf download` prints."""
    cache, snapshot = fetched
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    for source in ("someone/mhc-i", snapshot):
        found = find_bundle(source)
        assert (found.folder, found.says.name) == (snapshot, "tiny")
    assert find_bundle("someone/mhc-i", COMMIT).folder == snapshot


def test_a_revision_is_asked_for(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *what, **more: asked.append((what, more)) or made)
    assert find_bundle("someone/mhc-i", "v1").says.name == "tiny"
    assert asked == [(("someone/mhc-i",), {"revision": "v1"})]


def test_a_repository_that_is_not_there() -> None:
    with pytest.raises(EnvironmentProblem, match=r"^someone/nothing-of-this-name: no folder here.*hf download"):
        find_bundle("someone/nothing-of-this-name")


@pytest.mark.parametrize("source", ["nowhere", "/nowhere/at/all", "a/b/c", "../x", ""])
def test_neither_a_folder_nor_an_id(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        find_bundle(source)


def test_a_name_that_the_system_refuses() -> None:
    with pytest.raises(InputError, match=r"^'a{199}: File name too long\. Give a folder that you may read\.$"):
        find_bundle("a" * 5000)


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    with pytest.raises(InputError, match="no such folder"):
        find_bundle(tmp_path / "x")
