"""Checkpoints that are saved and found, damaged, or made to do harm."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpc.errors import CorruptError, ExitCode
from hpc.save.checkpoint import MANIFEST, checkpoint_name, committed_checkpoints, prune_checkpoints, verify_checkpoint
from hpc.save.saving import save_checkpoint
from tests.kit.checkpoint_tools import ALONE, FILES, find, save, step_found
from tests.kit.ranks import names


def hidden(root: Path) -> list[str]:
    return [name for name in names(root) if name.startswith(".")]


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """As somebody does who also knows how the manifest is protected."""
    from hpc.save.checkpoint import manifest_digest

    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["sha256"]
    change(manifest)
    manifest["sha256"] = manifest_digest(manifest)
    (path / MANIFEST).write_text(json.dumps(manifest))


# ---------------------------------------------------------------------------- saving and finding
def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert find(tmp_path / "missing") is None
    assert find(tmp_path) is None


def test_the_newest_is_found_with_all_it_holds(tmp_path: Path) -> None:
    for step in (1, 9, 10):
        assert save(tmp_path, step) == tmp_path / checkpoint_name(step)
    found = find(tmp_path)
    assert found is not None
    assert (found.path, found.step) == (tmp_path / "step_0000000010", 10)
    assert found.meta == {"loss": 10.1, "rate": 1e-9, "10": "ä", "9": None}
    assert [path.name for path in committed_checkpoints(tmp_path)] == [checkpoint_name(step) for step in (1, 9, 10)]
    assert hidden(tmp_path) == []


def test_the_same_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 5, "old")
    save(tmp_path, 5, "new")
    assert b"new" in (verify_checkpoint(tmp_path / checkpoint_name(5)).path / "model.bin").read_bytes()
    assert names(tmp_path) == [checkpoint_name(5)]


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in range(1, 7):
        save(tmp_path, step)
    removed = prune_checkpoints(tmp_path, 2, also_keep=[2, 6, 77])
    assert [path.name for path in removed] == [checkpoint_name(step) for step in (1, 3, 4)]
    assert names(tmp_path) == [checkpoint_name(step) for step in (2, 5, 6)]
    assert prune_checkpoints(tmp_path, 5) == []
    assert len(prune_checkpoints(tmp_path, 0, also_keep=[6])) == 2
    assert step_found(tmp_path) == 6


def test_leftovers_of_killed_saves_are_ignored_and_swept(tmp_path: Path) -> None:
    save(tmp_path, 1)
    shutil.copytree(tmp_path / checkpoint_name(1), tmp_path / f".{checkpoint_name(9)}.0badcafe.staging")
    shutil.copytree(tmp_path / checkpoint_name(1), tmp_path / f".{checkpoint_name(1)}.superseded")
    (tmp_path / ".somebody's").mkdir()
    assert step_found(tmp_path) == 1
    save(tmp_path, 2)
    assert hidden(tmp_path) == [".somebody's"]


def test_killed_between_the_two_renames_of_the_same_step(tmp_path: Path) -> None:
    """The old folder is away, the new one not yet there: as the only checkpoint it must not count as none."""
    save(tmp_path, 5)
    (tmp_path / checkpoint_name(5)).rename(tmp_path / f".{checkpoint_name(5)}.superseded")
    assert step_found(tmp_path) == 5

    def write(folder: Path) -> list[str]:
        raise OSError("disk is gone")

    with pytest.raises(CorruptError):
        save_checkpoint(tmp_path, 6, {}, write, ALONE)
    assert names(tmp_path) == [checkpoint_name(5)]
    assert step_found(tmp_path) == 5


def test_other_people_may_read(tmp_path: Path) -> None:
    path = save(tmp_path, 1)
    for file in path.rglob("*"):
        file.chmod(0o755)
    assert step_found(tmp_path) == 1


# ---------------------------------------------------------------------------- damage
@pytest.mark.parametrize("name", FILES)
def test_any_flipped_bit_is_found_and_the_previous_one_taken(tmp_path: Path, name: str) -> None:
    save(tmp_path, 1)
    file = save(tmp_path, 2) / name
    content = file.read_bytes()
    random_bits = random.Random(name)
    for _ in range(60 if content else 0):
        bit = random_bits.randrange(len(content) * 8)
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        with pytest.raises(CorruptError, match=r"SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}"):
            verify_checkpoint(tmp_path / checkpoint_name(2))
        assert step_found(tmp_path) == 1
    file.write_bytes(content)
    assert step_found(tmp_path) == 2


def test_no_flipped_bit_of_the_manifest_changes_what_is_loaded(tmp_path: Path) -> None:
    path = save(tmp_path, 2)
    good = verify_checkpoint(path)
    content = (path / MANIFEST).read_bytes()
    undetected = 0
    for bit in random.Random(0).sample(range(len(content) * 8), 800):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (path / MANIFEST).write_bytes(damaged)
        try:
            assert verify_checkpoint(path) == good  # "E" for "e" in 1e-09, or in an escaped letter
            undetected += 1
        except CorruptError:
            pass
    assert undetected <= 5


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
@pytest.mark.parametrize("damage", ["truncate", "append", "delete", "folder", "link"])
def test_other_damage_to_any_file(tmp_path: Path, name: str, damage: str) -> None:
    save(tmp_path, 1)
    file = save(tmp_path, 2) / name
    content = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(content[: len(content) // 2] if content else b"x")
    elif damage == "append":
        file.write_bytes(content + b"\0")
    else:
        file.unlink()
        if damage == "folder":
            file.mkdir()
        elif damage == "link":
            file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CorruptError, match=r"größe|" + name):
        verify_checkpoint(tmp_path / checkpoint_name(2))
    assert step_found(tmp_path) == 1
    shutil.rmtree(tmp_path / checkpoint_name(1))
    with pytest.raises(CorruptError, match="none of 1 checkpoints verifies") as raised:
        find(tmp_path)
    assert raised.value.exit_code == ExitCode.CORRUPT


@pytest.mark.parametrize("name", ["model.bin", MANIFEST])
def test_files_of_two_saves_mixed(tmp_path: Path, name: str) -> None:
    first, second = save(tmp_path, 1), save(tmp_path, 2)
    one, two = (first / name).read_bytes(), (second / name).read_bytes()
    (first / name).write_bytes(two)
    (second / name).write_bytes(one)
    with pytest.raises(CorruptError, match="none of 2 checkpoints verifies"):
        find(tmp_path)


def test_all_damaged_is_never_a_start_from_zero(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        (save(tmp_path, step) / "model.bin").write_bytes(b"x")
    with pytest.raises(CorruptError, match="none of 3 checkpoints verifies") as raised:
        find(tmp_path)
    assert all(checkpoint_name(step) in str(raised.value) for step in (1, 2, 3))


def test_a_renamed_checkpoint_is_refused(tmp_path: Path) -> None:
    save(tmp_path, 1).rename(tmp_path / checkpoint_name(2))
    with pytest.raises(CorruptError, match="does not fit its folder"):
        find(tmp_path)


def test_a_damaged_one_is_replaced_by_the_next_save(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (save(tmp_path, 2) / "model.bin").unlink()
    save(tmp_path, 2)
    assert step_found(tmp_path) == 2


# ---------------------------------------------------------------------------- malice
@pytest.mark.parametrize("name", ["../secret", "nested/../../secret", "/etc/hostname", "nul\0", "nested", ""])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"")
    path = save(tmp_path / "root", 1)
    edit_manifest(path, lambda manifest: manifest["files"].update({name: manifest["files"]["empty"]}))
    with pytest.raises(CorruptError):
        verify_checkpoint(path)


@pytest.mark.parametrize(
    "change",
    [
        {"step": 1e300},
        {"step": "one"},
        {"step": None},
        {"format_version": 2},
        {"files": None},
        {"files": []},
        {"files": {"empty": None}},
        {"files": {"empty": {"bytes": 0}}},
    ],
)
def test_a_manifest_of_another_shape(tmp_path: Path, change: dict[str, Any]) -> None:
    path = save(tmp_path, 1)
    edit_manifest(path, lambda manifest: manifest.update(change))
    with pytest.raises(CorruptError):
        verify_checkpoint(path)


@pytest.mark.parametrize("text", ["", "[]", "null", '"x"', "{}", "[" * 100_000, '{"step": 1e999}', "\0", "NaN"])
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    path = save(tmp_path, 1)
    (path / MANIFEST).write_text(text)
    with pytest.raises(CorruptError, match="manifest"):
        verify_checkpoint(path)


@pytest.mark.parametrize("name", ["model.bin", MANIFEST])
def test_files_of_another_user(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, 1)
    if os.getuid() == 0:
        os.chown(path / name, 4711, -1)
        with pytest.raises(CorruptError, match="belongs to another user"):
            verify_checkpoint(path)
    os.chown(path / name, os.getuid(), -1)
    assert step_found(tmp_path) == 1
