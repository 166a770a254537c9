"""A bundle that was changed in any way is refused, with one line, before anything of it is used."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.errors import CorruptError, EnvironmentProblem, InputError, SnwError
from snw_dist.bundle import read
from snw_dist.bundle.format import BUNDLE, FORMAT_VERSION
from snw_dist.bundle.read import open_bundle
from tests.kit.bundle_tools import put, sign


def refused(folder: Path, kind: type[SnwError] = CorruptError) -> str:
    with pytest.raises(kind) as caught:
        open_bundle(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_bundle_is_taken_also_with_what_the_hub_puts_beside_it(bundle: Path) -> None:
    says = open_bundle(bundle).says
    assert list(says.members) == ["tiny"]
    (bundle / ".gitattributes").write_text("*.safetensors filter=lfs")
    (bundle / ".git" / "refs").mkdir(parents=True)
    (bundle / ".git" / "hook").symlink_to("/bin/true")
    (bundle / ".cache" / "huggingface").mkdir(parents=True)
    (bundle / ".cache" / "huggingface" / "x.lock").touch()
    for folder in (bundle, bundle / "members" / "tiny"):
        (folder / ".DS_Store").write_bytes(b"of a Mac")
    assert open_bundle(bundle).says == says


def test_any_of_200_flipped_bits_is_seen(bundle: Path) -> None:
    """At random places, of all files in turn: the small ones too, which hold what the scores mean."""
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    assert {"model.safetensors", "calibration.json", "config.json", BUNDLE, "README.md"} <= {
        file.name for file in files
    }
    draw, found = np.random.default_rng(0), 0
    for number in range(200):
        file = files[number % len(files)]
        good = file.read_bytes()
        data, bit = bytearray(good), int(draw.integers(8 * len(good)))
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        assert str(file) in refused(bundle)
        found += 1
        file.write_bytes(good)
    assert found == 200
    open_bundle(bundle)


FILES = ["members/tiny/model.safetensors", "members/tiny/calibration.json", "config.json", "README.md", "parity.json"]


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file(bundle: Path, name: str) -> None:
    with (bundle / name).open("ab") as file:
        file.write(b" ")
    assert f"{bundle / name}: " in refused(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert refused(bundle).startswith(f"{bundle / name}: missing")


@pytest.mark.parametrize("name", ["more.json", "members/tiny/data.pkl", "members/other/model.safetensors", "a b.txt"])
def test_a_file_too_many(bundle: Path, name: str) -> None:
    (bundle / name).parent.mkdir(exist_ok=True)
    (bundle / name).write_bytes(pickle.dumps(1))
    assert refused(bundle).startswith(f"{bundle / name}: bundle.json names no such file")


@pytest.mark.parametrize(
    "name",
    [
        *("data.pkl", "model.pt", "pytorch_model.bin", "code.py", "members/tiny/data.pkl"),
        *("../outside.json", "members/../../outside.json", "members/tiny/../../../outside.json", "a//b.json"),
    ],
)
def test_a_name_that_is_not_of_the_format(bundle: Path, name: str) -> None:
    """Also where bundle.json names it: a kind of file that could run something, or a way out of the folder."""
    put(bundle, name, pickle.dumps(1))
    assert refused(bundle) == f"{bundle / BUNDLE}: files: no name that may stand here: {name!r}."


def test_an_absolute_name(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    put(bundle, str(outside), b"{}")
    assert "bundle.json: files" in refused(bundle)


@pytest.mark.parametrize("name", FILES)
def test_a_link(bundle: Path, tmp_path: Path, name: str) -> None:
    """Even where it leads to the right bytes."""
    shutil.move(bundle / name, tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert refused(bundle).startswith(f"{bundle / name}: a symbolic link")


def test_a_link_to_a_folder(bundle: Path, tmp_path: Path) -> None:
    shutil.move(bundle / "members", tmp_path / "members")
    (bundle / "members").symlink_to(tmp_path / "members")
    assert "a symbolic link" in refused(bundle)


def test_links_are_taken_in_the_cache_of_the_hub_alone(bundle: Path, tmp_path: Path) -> None:
    """And there none that leads elsewhere, even to the right bytes."""
    snapshot, blobs = tmp_path / "models--a--b" / "snapshots" / "0123", tmp_path / "models--a--b" / "blobs"
    shutil.copytree(bundle, snapshot)
    blobs.mkdir()
    for number, path in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        shutil.move(path, blobs / str(number))
        path.symlink_to(os.path.relpath(blobs / str(number), path.parent))
    assert open_bundle(snapshot).says.name == "tiny"
    shutil.copytree(snapshot, tmp_path / "models--a--b" / "elsewhere" / "0123", symlinks=True)
    assert "a symbolic link" in refused(tmp_path / "models--a--b" / "elsewhere" / "0123")
    for name, target in (("README.md", bundle / "README.md"), ("parity.json", blobs / "none"), ("members", bundle)):
        shutil.copytree(snapshot, snapshot.with_name(name), symlinks=True)
        changed = snapshot.with_name(name) / name
        shutil.rmtree(changed) if name == "members" else changed.unlink()
        changed.symlink_to(target)
        assert refused(snapshot.with_name(name)) == f"{changed}: a symbolic link, which no bundle has. {read._AGAIN}"
    (blobs / "0").write_bytes(b"{}")
    assert str(snapshot) in refused(snapshot)


def test_a_pipe_is_not_waited_for(bundle: Path) -> None:
    (bundle / "README.md").unlink()
    os.mkfifo(bundle / "README.md")
    assert "neither a file nor a folder" in refused(bundle)


def test_a_newer_format_is_the_programs_fault_and_another_is_damage(bundle: Path) -> None:
    sign(bundle, lambda content: content.update(format_version=FORMAT_VERSION + 1, new_key=3))
    assert "Install a newer snw-dist" in refused(bundle, InputError)
    sign(bundle, lambda content: content.update(format_version="1"))
    assert "format version '1'" in refused(bundle)


@pytest.mark.parametrize("name", [BUNDLE, "parity.json", "members"])
def test_what_may_not_be_read_is_not_called_damaged(bundle: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To fetch it again would not help. Root may read everything: so the system is played."""

    def refusing(real: Any) -> Any:
        def asked(path: Any, *arguments: Any) -> Any:
            if Path(path) == bundle / name:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *arguments)

        return asked

    monkeypatch.setattr(read, "read_sealed", refusing(read.read_sealed))
    monkeypatch.setattr(read, "file_digest", refusing(read.file_digest))
    monkeypatch.setattr(read.os, "scandir", refusing(os.scandir))
    said = refused(bundle, EnvironmentProblem)
    assert said == f"{bundle / name}: Permission denied. Have its owner let you read it, and all folders above it."


def test_no_bundle(tmp_path: Path) -> None:
    assert "snw-dist export" in refused(tmp_path, InputError)
    assert "no bundle here" in refused(tmp_path / "nowhere", InputError)


@pytest.mark.parametrize(
    "change",
    [
        {"members": {}},
        {"members": {"../x": {}}},
        {"mean": {"threshold": 0.5, "calibration": {"method": "temperature", "temperature": None, "points": []}}},
        {"rows": {}},
        {"files": {}},
        {"more": 1},
        {"licences": {"data": 3, "encoder": None}},
    ],
    ids=str,
)
def test_a_bundle_json_that_means_harm(bundle: Path, change: dict[str, Any]) -> None:
    sign(bundle, lambda content: content.update(change))
    assert str(bundle / BUNDLE) in refused(bundle)


@pytest.mark.parametrize(
    ("key", "value"), [("name", 5), ("weights_sha256", None), ("layers", "x"), ("arithmetic", "fp4")]
)
def test_an_encoder_that_is_none(bundle: Path, key: str, value: Any) -> None:
    """It ended in a traceback."""
    sign(bundle, lambda content: content["rows"]["encoder"].update({key: value}))
    assert f"{bundle / BUNDLE}: rows.encoder" in refused(bundle)


def test_a_bundle_json_that_is_none(bundle: Path) -> None:
    for data in (b"", b"{", b"[]", b"\xff", b"[" * 10**5, json.dumps({"sha256": 3}).encode()):
        (bundle / BUNDLE).write_bytes(data)
        assert str(bundle / BUNDLE) in refused(bundle)


def test_what_changes_after_it_was_compared_is_not_used(bundle: Path) -> None:
    opened = open_bundle(bundle)
    data = bytearray((bundle / "metrics.json").read_bytes())
    data[5] ^= 1
    (bundle / "metrics.json").write_bytes(data)
    with pytest.raises(CorruptError, match="changed while it was read"):
        opened.read_json("metrics.json")
    with pytest.raises(CorruptError, match=r"names no secret\.json"):
        opened.read("secret.json")


def test_a_folder_of_very_many_files(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "_MOST_FILES", 3)
    assert "more than 3 files" in refused(bundle)
