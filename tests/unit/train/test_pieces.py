"""Checkpoints of training whose files are signed and nonsense: passed over, the one before is taken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hpc.errors import CorruptError
from snw_dist.train.pieces import check_pieces
from snw_dist.train.portable import restore_random_state
from tests.kit.saved_tools import (
    SHAPES,
    STATE,
    Change,
    edit,
    header_of,
    passed_over,
    step_found,
    with_header,
    write_file,
)


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
