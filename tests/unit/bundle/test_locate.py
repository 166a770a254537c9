"""A bundle in a folder, or in a repository of the hub, whose cache has links."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.bundle.locate import find_bundle


def test_a_folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_bundle(made).folder == made
    monkeypatch.chdir(made.parent)
    assert find_bundle("bundle").says.name == "tiny"


def test_a_repository_of_the_hub(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its cache lays it out: every name a link to a blob."""
    snapshot, asked = tmp_path / "snapshot", []
    for number, path in enumerate(sorted(path for path in bundle.rglob("*") if path.is_file())):
        link = snapshot / path.relative_to(bundle)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = tmp_path / f"blob{number}"
        shutil.move(path, blob)
        link.symlink_to(blob)
    (snapshot / ".gitattributes").touch()

    def download(name: str, revision: str | None) -> str:
        asked.append((name, revision))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert find_bundle("someone/mhc-i", "v1").says.name == "tiny"
    assert asked == [("someone/mhc-i", "v1")]


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
