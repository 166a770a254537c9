"""From texts to clean sequences, and from these to what networks read: each distinct one is made once, and kept.

Rows are those that a store would hold of the sequence: the same encoder, arithmetic, windows and number format.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from hpc.errors import InputError
from snw_dist.arrays import IntArray
from snw_dist.data.files.fasta import MAX_RECORD_CHARS, FastaRecord
from snw_dist.data.files.inputs import Table
from snw_dist.data.files.rejects import Rejects
from snw_dist.data.records.cleaning import NOT_STANDARD, Cleaned, Problem, clean_sequence
from snw_dist.data.records.sequences import SequenceTable, read_sequences
from snw_dist.embedding.encoder import Encoder
from snw_dist.embedding.esmc.packed import tokenize
from snw_dist.embedding.row_reader import read_rows

if TYPE_CHECKING:
    from snw_dist.embedding.store.reader import StoreReader

Texts = str | Iterable[str]
"""One sequence, or several."""
Make = Callable[[list[str]], Iterable[torch.Tensor]]
"""[residues, row_width] of each sequence of a list, in its order."""
_MOST_AT_ONCE = 1 << 16
"""Residues that are embedded before their rows are put away."""


def listed(texts: Texts | bytes, side: str) -> list[str]:
    """The texts of a side; a single one is one sequence, not a list of its letters.

    Raises `InputError` for what holds no texts.
    """
    if isinstance(texts, str):
        return [texts]
    try:
        if not isinstance(texts, bytes):
            return list(texts)
    except TypeError:  # nothing that can be walked
        pass
    raise InputError(f"{side}s: give a text, or a list of texts, not {type(texts).__name__} (got {texts!r:.40}).")


@dataclass(frozen=True)
class Rules:
    """How sequences were cleaned for training: others are cleaned the same way, or refused."""

    non_standard: Literal["reject", "unknown"]
    min_length: int
    max_length: int

    def clean(self, text: str) -> Cleaned | Problem:
        """The sequence in a text, or why there is none; see `snw_dist.data.records.cleaning`."""
        if text.lstrip().startswith(">"):
            return Problem(0, "this is FASTA text, with a line of names", "Give the letters of one sequence.", text)
        record = FastaRecord(Path(), 0, "", "", text, len(text) > MAX_RECORD_CHARS)
        found = clean_sequence(record, self.non_standard, self.min_length, self.max_length)
        if isinstance(found, Problem) and found.reason.endswith(NOT_STANDARD):
            return found._replace(reason=f"{found.reason}, and the networks were trained without any other letter")
        return found

    def read(self, table: Table, path: Path, rejects: Rejects) -> SequenceTable:
        """The sequences of a FASTA file by their ids; records that cannot be used go to `rejects`."""
        return read_sequences(
            table,
            path,
            path.name,
            rejects,
            non_standard=self.non_standard,
            min_length=self.min_length,
            max_length=self.max_length,
        )

    def all_clean(self, texts: Iterable[str], side: str) -> list[str]:
        """The sequence in each text; raises `InputError` naming the first bad one by its number, counted from 0.

        Equal texts are looked at once: in a table of pairs most of them repeat.
        """
        found, known = [], dict[str, str]()
        for number, text in enumerate(texts):
            if not isinstance(text, str):
                raise InputError(f"{side} {number}: no text but {type(text).__name__} (got {text!r:.40}).")
            if text not in known:
                cleaned = self.clean(text)
                if isinstance(cleaned, Problem):
                    raise InputError(f"{side} {number}: {cleaned.reason} (got {text[:40]!r}).")
                known[text] = cleaned.sequence
            found.append(known[text])
        return found


class Rows:
    """A `RowReader` of the sequences 0, 1, ... that it was made of, from tensors in memory."""

    def __init__(self, rows: Sequence[torch.Tensor]) -> None:
        """`rows`: [residues, row_width] of each sequence, all of one type; at least one."""
        self._rows = rows
        self.lengths: IntArray = np.array([len(one) for one in rows], dtype=np.int64)
        """[sequences] residues of each."""
        self.dtype, self.row_width = rows[0].dtype, rows[0].shape[1]

    def read_batch(
        self, out: torch.Tensor, indices: Sequence[int], starts: Sequence[int], counts: Sequence[int]
    ) -> None:
        """See `RowReader`; out: [sequences, longest, row_width]."""
        for row, (index, start, count) in enumerate(zip(indices, starts, counts, strict=True)):
            out[row, :count] = self._rows[int(index)][start : start + count]


class Kept:
    """What was made of sequences, as long as there is room; then what was asked for longest ago goes."""

    def __init__(self, make: Make, most_bytes: int) -> None:
        """`make`: see `Make`; `most_bytes`: beside what one call asks for, which is in memory in any case."""
        self._make, self._most_bytes, self._bytes = make, most_bytes, 0
        self._kept: OrderedDict[str, torch.Tensor] = OrderedDict()
        self.num_made = 0
        """How often a sequence had to be made."""

    def rows(self, sequences: Sequence[str]) -> Rows:
        """A reader of these sequences, by their place in the list."""
        found = {one: self._kept[one] for one in sequences if one in self._kept}
        missing = sorted({one for one in sequences if one not in found}, key=lambda one: (len(one), one))
        if missing:
            found |= dict(zip(missing, self._make(missing), strict=True))
        self.num_made += len(missing)
        for one in dict.fromkeys(sequences):
            self._keep(one, found[one])
        return Rows([found[one] for one in sequences])

    def _keep(self, sequence: str, rows: torch.Tensor) -> None:
        if sequence not in self._kept:
            self._bytes += rows.nbytes
        self._kept[sequence] = rows
        self._kept.move_to_end(sequence)
        while self._bytes > self._most_bytes and self._kept:
            _, gone = self._kept.popitem(last=False)
            self._bytes -= gone.nbytes


def embedded(encoder: Encoder, dtype: torch.dtype, store: StoreReader | None) -> Make:
    """Makes the rows of sequences, of `dtype`: read from `store` where they are there, else by the encoder.

    Short sequences must come first, as the encoder likes them.
    """

    def make(sequences: list[str]) -> Iterator[torch.Tensor]:
        rows = _embedded(encoder, dtype, [one for one in sequences if store is None or one not in store])
        for one in sequences:
            yield next(rows) if store is None or one not in store else read_rows(store, store.index(one))

    return make


def tokens(sequences: list[str]) -> Iterator[torch.Tensor]:
    """[residues, 1] int64 of each sequence, for a network that has ESM C in its graph."""
    return (tokenize([one])[0][1:-1, None] for one in sequences)


def _embedded(encoder: Encoder, dtype: torch.dtype, sequences: list[str]) -> Iterator[torch.Tensor]:
    """Some at a time; each gets memory of its own, so that one can go without the others."""
    start = 0
    while start < len(sequences):
        stop, residues = start, 0
        while stop < len(sequences) and (stop == start or residues + len(sequences[stop]) <= _MOST_AT_ONCE):
            residues += len(sequences[stop])
            stop += 1
        rows = torch.empty(residues, encoder.model.row_width, dtype=dtype)
        for _ in encoder.embed_into(rows, sequences[start:stop]):
            pass
        yield from (part.clone() for part in torch.split(rows, [len(one) for one in sequences[start:stop]]))
        start = stop
