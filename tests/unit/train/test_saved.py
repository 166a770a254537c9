"""Checkpoints of training with valid digests and a content that is nonsense: passed over, the one before is taken."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from hpc.errors import CorruptError, InputError, SnwError
from hpc.save.checkpoint import MANIFEST, checkpoint_name, find_checkpoint
from snw_dist.train.pieces import check_pieces
from snw_dist.train.portable import KINDS, restore_random_state
from snw_dist.train.progress import Progress
from snw_dist.train.saved import Expected, verifier
from snw_dist.train.saves import Saves
from snw_dist.trained_run.changes import PARTS, change_of, differing
from snw_dist.trained_run.changes import Change as Allowed
from snw_dist.trained_run.resumable import check_resumable
from tests.kit.harm import EXAMPLES, flipped, little_memory, mutated
from tests.kit.saved_tools import (
    ALONE,
    EXPECTED,
    SHAPES,
    TRAJECTORY,
    edit,
    header_of,
    read,
    save,
    sign,
    take_up,
    with_header,
    write_file,
)

STATE = "state_00000.safetensors"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    save(tmp_path, 60)
    return save(tmp_path, 76)


def step_found(root: Path, expected: Expected = EXPECTED) -> int:
    with little_memory():
        found = find_checkpoint(root, ALONE, verifier(expected))
    assert found is not None
    return found.step


def passed_over(newest: Path, caplog: pytest.LogCaptureFixture) -> str:
    assert step_found(newest.parent) == 60
    [line] = [record.message for record in caplog.records if "checkpoint skipped" in record.message]
    assert len(line.splitlines()) == 1
    assert len(line) < 1200
    shutil.rmtree(newest.parent / checkpoint_name(60))
    with pytest.raises(CorruptError, match="none of 1 checkpoints verifies"):
        find_checkpoint(newest.parent, ALONE, verifier(EXPECTED))
    return line


@pytest.mark.parametrize("num_files", [1, 2])
def test_what_training_writes_is_taken_up(tmp_path: Path, num_files: int) -> None:
    save(tmp_path, 0, num_files)
    assert step_found(tmp_path) == 0
    save(tmp_path, 100, num_files)
    found = find_checkpoint(tmp_path, ALONE, verifier(EXPECTED))
    assert found is not None
    assert found.step == 100
    assert take_up(found).isfinite().all()


def meta(**changes: Any) -> Change:
    """`progress__step=3` is the step in the progress."""

    def change(manifest: dict[str, Any]) -> None:
        for key, value in changes.items():
            inner = manifest["meta"]
            *folders, last = key.split("__")
            for folder in folders:
                inner = inner[folder]
            if value is ...:
                del inner[last]
            else:
                inner[last] = value

    return change


def at_step(step: int) -> Change:
    return meta(progress__step=step, progress__best_step=None, progress__best_value=None, progress__worse_in_a_row=0)


CHANGES = {
    "no meta": lambda manifest: manifest.update(meta={}),
    "another step": meta(progress__step=75),
    "step as text": meta(progress__step="76"),
    "step as a fraction": meta(progress__step=76.0),
    "step is true": meta(progress__step=True),
    "no step": meta(progress__step=...),
    "the best to come": meta(progress__best_step=77),
    "the best before all": meta(progress__best_step=-1),
    "best without a value": meta(progress__best_value=None),
    "best value as text": meta(progress__best_value="0.5"),
    "best value too large": meta(progress__best_value=10**400),
    "patience at its end": meta(progress__worse_in_a_row=10**9),
    "less than nothing worse": meta(progress__worse_in_a_row=-1),
    "unknown progress": meta(progress__more=1),
    "progress is a list": meta(progress=[76]),
    "no trajectory": meta(trajectory=...),
    "trajectory is text": meta(trajectory="siamese"),
    "a trajectory of control characters": meta(trajectory={"\x1b[2J": 1}),
    "parts as text": meta(trajectory=TRAJECTORY | {PARTS: "x"}),
    "no parts": meta(trajectory=TRAJECTORY | {PARTS: 0}),
    "more meta": meta(more=1),
    "no state": meta(state=...),
    "files as text": meta(state__num_files="2"),
    "no files": meta(state__num_files=0),
    "a billion files": meta(state__num_files=10**9),
    "one file of two": meta(state__num_files=1),
    "three files of two": meta(state__num_files=3),
    "no parameters": meta(state__parameters={}),
    "one parameter less": meta(state__parameters={name: shape for name, shape in SHAPES.items() if name != "c"}),
    "another shape": meta(state__parameters=SHAPES | {"a.weight": [3, 4]}),
    "a shape of text": meta(state__parameters=SHAPES | {"b.bias": ["7"]}),
    "a shape below zero": meta(state__parameters=SHAPES | {"d.weight": [-5, -2, 2]}),
    "an enormous shape": meta(state__parameters=SHAPES | {"b.bias": [2**48] * 8}),
    "no shape": meta(state__parameters=SHAPES | {"b.bias": None}),
    "steps of the optimiser as text": meta(state__adam_step="76"),
    "more steps of the optimiser": meta(state__adam_step=1e300),
    "half a step of the optimiser": meta(state__adam_step=75.5),
    "a scale of another kind": meta(state__loss_scale={"__class__": 1}),
    "a scale of nothing": meta(state__loss_scale={"cur_scale": 0}),
    "a scale of text": meta(state__loss_scale={"cur_scale": "1"}),
    "another world": lambda manifest: manifest.update(world_size=3),
    "a file that is not one of them": lambda manifest: manifest["files"].update(
        {"state_00001.bin": manifest["files"].pop("state_00001.safetensors")}
    ),
    "one more file": lambda manifest: manifest["files"].update({MANIFEST: {"bytes": 0, "sha256": "0" * 64}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_signed_manifest_that_cannot_be(newest: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    edit(newest, CHANGES[name])
    assert MANIFEST in passed_over(newest, caplog)


@pytest.mark.parametrize("step", [101, 10**9, 10**17])
def test_a_step_beyond_the_plan_does_not_end_the_run(newest: Path, caplog: pytest.LogCaptureFixture, step: int) -> None:
    beyond = newest.rename(newest.parent / checkpoint_name(step))
    edit(beyond, lambda manifest: (manifest.update(step=step), at_step(step)(manifest)))
    assert "of a run of 100 steps" in passed_over(beyond, caplog)


def test_other_settings_are_for_the_user_to_allow(newest: Path) -> None:
    """No damage: the run refuses it, or goes on where that is allowed."""
    longer = Expected(TRAJECTORY | {"train.epochs": 2}, 70, SHAPES)
    network = Expected(TRAJECTORY | {"model.name": "triplet"}, 70, SHAPES | {"b.bias": [8]})
    assert step_found(newest.parent, longer) == step_found(newest.parent, network) == 76


def test_a_longer_run_has_the_same_network(newest: Path) -> None:
    """Its checkpoints do: a weight that does not fit is damage, and not for the user to allow."""
    with pytest.raises(CorruptError, match=r"'b\.bias' is not as in the network"):
        step_found(newest.parent, Expected(TRAJECTORY | {"train.epochs": 4}, 400, SHAPES | {"b.bias": [8]}))


# ---------------------------------------------------------------------------- what the files hold


def edit_header(path: Path, change: Change) -> None:
    header, rest = header_of((path / STATE).read_bytes())
    change(header)
    write_file(path, STATE, with_header(header, rest))


def edit_pieces(path: Path, change: Callable[[list[Any]], object]) -> None:
    def of_header(header: dict[str, Any]) -> None:
        pieces = json.loads(header["__metadata__"]["pieces"])
        change(pieces)
        header["__metadata__"]["pieces"] = json.dumps(pieces)

    edit_header(path, of_header)


PIECES: dict[str, Callable[[list[Any]], object]] = {
    "one twice": lambda pieces: pieces.__setitem__(0, ["a.weight", 1, 6]),
    "one in place of another": lambda pieces: pieces.__setitem__(1, ["d.weight", 0, 3]),
    "none": lambda pieces: pieces.clear(),
    "one less": lambda pieces: pieces.pop(),
    "outside": lambda pieces: pieces.__setitem__(0, ["a.weight", 10, 6]),
    "before all": lambda pieces: pieces.__setitem__(0, ["a.weight", -1, 6]),
    "a negative count": lambda pieces: pieces.append(["a.weight", 6, -6]),
    "an enormous count": lambda pieces: pieces.append(["a.weight", 0, 2**63]),
    "of nothing known": lambda pieces: pieces.__setitem__(0, ["z", 0, 6]),
    "text for numbers": lambda pieces: pieces.__setitem__(0, ["a.weight", "0", "6"]),
    "true for one": lambda pieces: pieces.append(["c", True, 0]),
    "too short": lambda pieces: pieces.append(["c", 0]),
    "objects": lambda pieces: pieces.append({"name": "c"}),
}


@pytest.mark.parametrize("name", PIECES)
def test_signed_pieces_that_are_not_the_network(newest: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    edit_pieces(newest, PIECES[name])
    passed_over(newest, caplog)


def test_an_overlap_does_not_hide_what_is_missing(newest: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As many elements as are needed, but some of them twice: the others would have kept their first values."""
    edit_pieces(newest, lambda pieces: pieces.__setitem__(3, ["d.weight", 5, 10]))
    assert "element 0 of 'd.weight' is in no file" in passed_over(newest, caplog)


HEADERS: dict[str, Change] = {
    "no pieces": lambda header: header.pop("__metadata__"),
    "pieces are no text": lambda header: header["__metadata__"].update(pieces=[]),
    "pieces are no JSON": lambda header: header["__metadata__"].update(pieces="[" * 5000),
    "a tensor less": lambda header: header.pop("exp_avg"),
    "a tensor more": lambda header: header.update(more=header["master"]),
    "halves": lambda header: header["master"].update(dtype="F16"),
    "two dimensions": lambda header: header["master"].update(shape=[1, header["master"]["shape"][0]]),
    "the same place": lambda header: header["master"].update(data_offsets=header["exp_avg"]["data_offsets"]),
    "an enormous place": lambda header: header["master"].update(data_offsets=[0, 2**63]),
    "text": lambda header: header["master"].update(shape=["21"]),
    "longer": lambda header: header["master"].update(shape=[header["master"]["shape"][0] + 1]),
    "no list": lambda header: header.update(master=[1]),
    "random numbers of floats": lambda header: header["random_cpu"].update(dtype="F32"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_signed_header_that_cannot_be(newest: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    edit_header(newest, HEADERS[name])
    assert STATE in passed_over(newest, caplog)


@pytest.mark.parametrize("length", [0, 1, 7, 2**24, 10**11, 2**63, 2**64 - 1])
def test_a_header_of_any_length(newest: Path, caplog: pytest.LogCaptureFixture, length: int) -> None:
    data = (newest / STATE).read_bytes()
    write_file(newest, STATE, length.to_bytes(8, "little") + data[8:])
    assert STATE in passed_over(newest, caplog)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pieces", "keys", "deep"])
def test_headers_that_unfold(newest: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    header, rest = header_of((newest / STATE).read_bytes())
    if kind == "pieces":
        header["__metadata__"]["pieces"] = "[" + "[]," * 1_000_000 + "0]"
    elif kind == "keys":
        header |= {f"{number}": 0 for number in range(300_000)}
    else:
        header["__metadata__"]["pieces"] = "[" * 7_000_000
    write_file(newest, STATE, with_header(header, rest))
    edit(newest, lambda manifest: manifest["meta"]["state"].update(num_files=2))
    assert STATE in passed_over(newest, caplog)


@pytest.mark.parametrize("size", [0, 1, 10**6])
@pytest.mark.parametrize("content", [0, 255])
def test_a_random_state_that_is_none(newest: Path, caplog: pytest.LogCaptureFixture, size: int, content: int) -> None:
    tensors = load_file(newest / STATE)
    header, _ = header_of((newest / STATE).read_bytes())
    size = size or len(tensors["random_cpu"])  # of the right size, too
    tensors["random_cpu"] = torch.full((size,), content, dtype=torch.uint8)
    save_file(tensors, newest / STATE, header["__metadata__"])
    write_file(newest, STATE, (newest / STATE).read_bytes())
    with pytest.raises(CorruptError, match="not a state of training"):
        restore_random_state(newest, 2, 0, 2, 1, 76)
    passed_over(newest, caplog)


@pytest.mark.timeout(20)
def test_a_file_of_a_terabyte_is_not_read(newest: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (newest / STATE).open("r+b") as file:
        file.truncate(10**12)
    edit(newest, lambda manifest: manifest["files"][STATE].update(bytes=10**12))
    assert "do not hold" in passed_over(newest, caplog)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", [os.mkfifo, lambda file: file.symlink_to("/dev/zero"), Path.mkdir])
def test_a_state_that_is_no_file(newest: Path, make: Callable[[Path], None]) -> None:
    (newest / STATE).unlink()
    make(newest / STATE)
    assert step_found(newest.parent) == 60
    with pytest.raises(CorruptError, match=STATE):
        check_pieces([newest / STATE], SHAPES)


# ---------------------------------------------------------------------------- any content


def outcome(root: Path, whole: torch.Tensor | None) -> None:
    """The newest is taken as a whole, or the one before; or the settings in it are another run's, told in one line."""
    found = find_checkpoint(root, ALONE, verifier(EXPECTED))
    assert found is not None
    if found.meta["trajectory"] != TRAJECTORY:
        with contextlib.suppress(SnwError):
            check_resumable(found.meta["trajectory"], TRAJECTORY, False, False, 20, lambda: "other pairs")
    if any(change_of(key) is Allowed.NEVER for key in differing(found.meta["trajectory"], TRAJECTORY)):
        with pytest.raises(InputError, match="No option continues"):
            take_up(found)
        return
    masters = take_up(found)
    assert masters.isfinite().all()
    if found.step == 76 and whole is not None:
        assert torch.equal(masters.sort().values, whole.sort().values)


def property_of(strategy: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def run(value: Any) -> None:
        check(value)

    run()


@pytest.mark.timeout(60 + EXAMPLES)
def test_any_signed_content_is_taken_as_a_whole_or_passed_over(
    newest: Path, record_property: Callable[[str, object], None]
) -> None:
    found = find_checkpoint(newest.parent, ALONE, verifier(EXPECTED))
    assert found is not None
    whole = take_up(found)
    manifest, data = read(newest), (newest / STATE).read_bytes()
    header, rest = header_of(data)
    header["__metadata__"]["pieces"] = json.loads(header["__metadata__"]["pieces"])
    tried = 0

    def count(same_tensors: bool = True) -> None:
        nonlocal tried
        tried += 1
        outcome(newest.parent, whole if same_tensors else None)

    def of_manifest(changed: Any) -> None:
        if isinstance(changed, dict):
            sign(newest, changed)
            count()

    def of_meta(changed: Any) -> None:
        of_manifest(manifest | {"meta": changed})

    def of_header(changed: Any) -> None:
        changed = copy.deepcopy(changed)
        inside = changed.get("__metadata__") if isinstance(changed, dict) else None
        if isinstance(inside, dict) and "pieces" in inside:
            inside["pieces"] = json.dumps(inside["pieces"])
        sign(newest, manifest)
        write_file(newest, STATE, with_header(changed, rest))
        # Masters and moments in each other's place are a state like any other.
        count(isinstance(changed, dict) and all(changed.get(kind) == header[kind] for kind in KINDS))

    def of_bytes(seed: int) -> None:
        sign(newest, manifest)
        write_file(newest, STATE, flipped(data[: len(data) - len(rest)], seed) + rest)
        count(same_tensors=False)

    with little_memory():
        property_of(mutated(manifest), of_manifest)
        property_of(mutated(manifest["meta"]), of_meta)
        (newest / STATE).write_bytes(data)
        property_of(mutated(header), of_header)
        property_of(
            mutated(header["__metadata__"]["pieces"]),
            lambda pieces: of_header(header | {"__metadata__": {"pieces": pieces}}),
        )
        property_of(st.integers(0, 2**32), of_bytes)
    record_property("tried", tried)


# ---------------------------------------------------------------------------- a run that goes on


@pytest.mark.parametrize("first", [61, 76, 77])
def test_after_a_damaged_newest_one_the_saves_of_a_run_stay(tmp_path: Path, first: int) -> None:
    """By the saves of training: step 76 is nonsense, 60 is taken up, and what is saved then is not removed for 76."""
    root = tmp_path / "checkpoints"
    save(root, 60)
    edit(save(root, 76), meta(progress__step=10**9))
    if first == 77:  # nobody reads this file, and that it cannot be written ends no run
        (tmp_path / "checkpoints.json").mkdir()
    verify, template = verifier(EXPECTED), read(root / checkpoint_name(60))["meta"]
    for begun, step in [(60, first), (first, 78), (78, 79)]:
        saves = Saves(tmp_path, ALONE, lambda: None, keep_last=2, keep_every=20)
        found = find_checkpoint(root, ALONE, verify)
        assert found is not None
        assert found.step == begun
        saves.begin_from(found, verify)
        other = save(tmp_path / "other", step, 1)
        progress = Progress(step, 0.5, 30, 1)
        own = template | {"progress": vars(progress), "state": template["state"] | {"num_files": 1}}

        def write(folder: Path, other: Path = other) -> list[str]:
            (folder / STATE).write_bytes((other / STATE).read_bytes())
            return [STATE]

        saves.begin(progress, own, write, 0.0)
        assert saves.commit(0.0) is not None
    assert sorted(path.name for path in root.iterdir()) == [
        "set_aside_step_0000000076",
        *(checkpoint_name(step) for step in (60, 78, 79)),
    ]
    if first != 77:
        named = {"best": checkpoint_name(30), "last": checkpoint_name(79)}
        assert json.loads((tmp_path / "checkpoints.json").read_text()) == named
