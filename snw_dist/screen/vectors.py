"""The vectors of a library, each sequence once through its tower, in a folder that later screens use again.

| file | content |
|---|---|
| `header.json` | what the vectors are made of (weights, rows, side, sequences, number format); where blocks begin |
| `sequences.arrow` | the sequences in the order of the vectors, as an Arrow file |
| `block_NNNNNN.safetensors` | `vectors`: [sequences of the block, size]; its own SHA-256 in the header of the file |

The name of the folder is that of the side and the beginning of the SHA-256 of `made_of`. So vectors of other weights or
sequences have another folder, and are never taken for these.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as strict_dataclass

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.disk.strict import validated
from hpc.errors import CorruptError
from snw_dist.arrays import IntArray
from snw_dist.screen.array_file import mapped, read_arrays, write_arrays
from snw_dist.screen.library import Kind
from snw_dist.screen.plan import block_starts
from snw_dist.screen.texts import Texts, digest_of
from snw_dist.screen.towers import Towers

FORMAT_VERSION = 1
HEADER, SEQUENCES = "header.json", "sequences.arrow"
_PIECE = {"cpu": 1 << 14, "cuda": 1 << 17}
"""Residues that go through encoder and tower before the job looks whether it is to stop."""


@strict_dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class VectorHeader:
    """The content of `header.json`."""

    format_version: int
    made_of: dict[str, str]
    starts: list[int]
    """Where each block begins, and where the last one ends."""


@dataclass(frozen=True)
class VectorSet:
    """The folder of the vectors of a library on a side."""

    folder: Path
    header: VectorHeader

    @property
    def starts(self) -> list[int]:
        """Where each block begins, and where the last one ends."""
        return self.header.starts

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def num_blocks(self) -> int:
        """Units of work."""
        return len(self.starts) - 1

    def sequences(self) -> Texts:
        """The sequences in their order."""
        return Texts(self.folder / SEQUENCES)

    def has(self, block: int, verify: bool) -> bool:
        """Whether a block is there; with `verify` every byte of it is looked at."""
        if not self._path(block).exists():
            return False
        if verify:
            try:
                self.block(block)
            except CorruptError:
                return False
        return True

    def block(self, block: int) -> torch.Tensor:
        """[sequences of the block, size] float32; raises `CorruptError` where it is missing or damaged."""
        vectors = read_arrays(self._path(block), self._facts(block))["vectors"]
        return torch.from_numpy(vectors).float()

    def rows(self, numbers: range) -> torch.Tensor:
        """[n, size] float32 vectors of sequences that follow each other; raises `CorruptError` as `block`."""
        first, last = np.searchsorted(self.starts, [numbers.start, numbers.stop - 1], side="right") - 1
        found = torch.cat([self.block(block) for block in range(first, last + 1)])
        return found[numbers.start - self.starts[first] :][: len(numbers)]

    def picked(self, numbers: IntArray) -> torch.Tensor:
        """[n, size] float32 vectors of the sequences with these numbers, [n], at least one.

        No block is read as a whole, so nothing compares its SHA-256: for what has gone through `block` before.
        """
        of_block = np.searchsorted(self.starts, numbers, side="right") - 1
        found = None
        for block in np.unique(of_block).tolist():
            here = np.flatnonzero(of_block == block)
            rows = mapped(self._path(block), "vectors")[numbers[here] - self.starts[block]]
            found = np.empty((len(numbers), rows.shape[1]), dtype=np.float32) if found is None else found
            found[here] = rows
        return torch.from_numpy(found)

    def make(self, block: int, towers: Towers, checkpoint: Callable[[], None]) -> None:
        """Embed the sequences of a block and send them through the tower."""
        side: Kind = "ligand" if self.header.made_of["side"] == "ligand" else "receptor"
        sequences = self.sequences().take(range(self.starts[block], self.starts[block + 1]))
        most, start, found = _PIECE[towers.scorer.device.type], 0, []
        while start < len(sequences):
            checkpoint()
            stop, residues = start + 1, len(sequences[start])
            while stop < len(sequences) and residues + len(sequences[stop]) <= most:
                residues, stop = residues + len(sequences[stop]), stop + 1
            found.append(towers.vectors(side, sequences[start:stop]))
            start = stop
        vectors = torch.cat(found).to(getattr(torch, self.header.made_of["dtype"])).numpy()
        write_arrays(self._path(block), {"vectors": vectors}, self._facts(block))

    def _path(self, block: int) -> Path:
        return self.folder / f"block_{block:06d}.safetensors"

    def _facts(self, block: int) -> dict[str, Any]:
        return {"set": self.folder.name, "block": block}


def begin_vectors(store: Path, made_of: Mapping[str, str], sequences: Path, block_residues: int) -> VectorSet:
    """The folder for the vectors of the sequences in a file of `Texts`, below `store`.

    What is there of an earlier screen is used again. Raises `CorruptError` where it is not as it was begun.
    """
    folder = store / f"{made_of['side']}-{key_of(made_of)}"
    if not (folder / HEADER).exists():
        texts = Texts(sequences).all()
        Texts.write(folder / SEQUENCES, texts)
        lengths = np.array([len(one) for one in texts], dtype=np.int64)
        starts = [*block_starts(lengths, block_residues)]
        write_sealed(folder / HEADER, {"format_version": FORMAT_VERSION, "made_of": dict(made_of), "starts": starts})
    return open_vectors(folder)


def open_vectors(folder: Path) -> VectorSet:
    """The vectors in a folder; raises `CorruptError` where it is not as it was begun."""
    again = "Remove this folder and start the same command again."
    try:
        header = validated(VectorHeader, read_sealed(folder / HEADER), str(folder / HEADER), refuse=CorruptError)
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{folder / HEADER}: cannot be read ({error}). {again}") from None
    if folder.name != f"{header.made_of.get('side')}-{key_of(header.made_of)}":
        raise CorruptError(f"{folder}: {HEADER} is that of other vectors. {again}")
    found = VectorSet(folder, header)
    try:
        texts = found.sequences()
        digest = digest_of(texts.all())
    except (OSError, ValueError) as error:
        raise CorruptError(f"{folder / SEQUENCES}: cannot be read ({error}). {again}") from None
    if digest != header.made_of["sequences"]:
        raise CorruptError(f"{folder / SEQUENCES}: not the sequences that {HEADER} names. {again}")
    return found


def made_of_vectors(side: Kind, sequences: Path, towers: Towers, dtype: str) -> dict[str, str]:
    """What decides the bits of the vectors of the sequences in a file of `Texts`."""
    says = towers.scorer.bundle.says
    [entry] = says.members.values()
    return {
        "weights": entry.weights_sha256,
        "rows": says.rows.sha256,
        "side": side,
        "sequences": digest_of(Texts(sequences).all()),
        "dtype": dtype,
        "device": towers.scorer.device.type,
    }


def key_of(made_of: Mapping[str, str]) -> str:
    """16 letters that stand for it."""
    return hashlib.sha256(json.dumps(dict(made_of), sort_keys=True).encode()).hexdigest()[:16]


class VectorUnits:
    """The blocks of several sets as units of work (`snw_dist.screen.work.Units`)."""

    kind, unit = "vectors", "sequences"

    def __init__(self, sets: list[VectorSet], towers: Towers) -> None:
        self._blocks = [(one, block) for one in sets for block in range(one.num_blocks)]
        self._towers = towers

    def __len__(self) -> int:
        return len(self._blocks)

    def size(self, number: int) -> int:
        """Sequences."""
        one, block = self._blocks[number]
        return one.starts[block + 1] - one.starts[block]

    def has(self, number: int, verify: bool) -> bool:
        """Whether the block is there."""
        one, block = self._blocks[number]
        return one.has(block, verify)

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Make the block."""
        one, block = self._blocks[number]
        one.make(block, self._towers, checkpoint)
