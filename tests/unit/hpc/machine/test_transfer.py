"""Bytes of files straight to a device; here the device is the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.machine import transfer
from hpc.machine.transfer import read_to, sent

CPU = torch.device("cpu")


@pytest.mark.parametrize("piece", [1, 7, 1000, 5000])
def test_any_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(transfer, "_PIECE", piece)
    content = np.random.default_rng(1).integers(0, 256, 3000, dtype=np.uint8)
    (tmp_path / "file").write_bytes(content.tobytes())
    for first, num_bytes in ((0, 3000), (13, 1000), (2999, 1), (5, 0)):
        read = read_to(CPU, tmp_path / "file", first, num_bytes)
        assert np.array_equal(read.numpy(), content[first : first + num_bytes])


def test_a_file_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    with pytest.raises(EOFError, match="ends at byte 3"):
        read_to(CPU, tmp_path / "file", 1, 4)
    with pytest.raises(FileNotFoundError):
        read_to(CPU, tmp_path / "none", 0, 1)


def test_what_is_there_already_is_not_copied() -> None:
    tensor = torch.arange(3)
    assert sent(tensor, CPU) is tensor
