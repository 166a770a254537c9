"""What stands in each column of a table: how many cells are ids of a side, numbers, words, and which."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from snw_dist.data.files.cells import INEQUALITIES, WORDS, is_number, split_inequality
from snw_dist.data.files.table import Cell

MOST_VALUES = 30
"""Different texts of a column that are kept; more say nothing about splits or words."""
_SEQUENCE = re.compile(r"[ACDEFGHIKLMNPQRSTVWY]{5,}\*?|[acdefghiklmnpqrstvwy]{20,}\*?")
"""A word has other letters, or is short: small letters are taken for a sequence only where there are many."""
_LONG = 20
"""Residues in the mean of a column that can be nothing else but sequences."""
_SEVERAL = 10
"""Different values of a column that is none of classes."""
_ENOUGH = 0.5
_OF_SEQUENCES = {
    "sequence",
    "sequences",
    "seq",
    "peptide",
    "peptides",
    "epitope",
    "protein",
    "ligand",
    "aa",
    "residues",
}
_TOKEN = re.compile(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+(?![a-z])[0-9]*")


@dataclass
class Column:
    """One column, counted over all rows."""

    name: str
    filled: int = 0
    """Cells that are not empty."""
    ids: list[int] = field(default_factory=lambda: [0, 0])
    """Cells that are an id of the first FASTA file, and of the second one."""
    numbers: int = 0
    signed: int = 0
    """Numbers with an inequality before them, such as `>5000`; counted as numbers too."""
    negative: int = 0
    low: float = math.inf
    high: float = -math.inf
    words: int = 0
    """Cells such as bound, false, yes."""
    sequences: int = 0
    """Cells that look like a protein."""
    residues: int = 0
    """Letters of these."""
    signs: int = 0
    """Cells that are an inequality alone."""
    values: dict[str, int] = field(default_factory=dict)
    """The first different texts with how often they come; `MOST_VALUES` + 1 where there are more."""
    example: str = ""

    @property
    def few(self) -> bool:
        """All its values are in `values`."""
        return len(self.values) <= MOST_VALUES

    @property
    def tokens(self) -> set[str]:
        """The words of its name: `IC50_nM` has ic50 and nm."""
        words = re.split(r"[^A-Za-z0-9µμ]+", self.name)
        return {part.lower() for part in (*words, *_TOKEN.findall(self.name)) if part}

    @property
    def mean_residues(self) -> float:
        """Of the cells that look like a protein."""
        return self.residues / self.sequences if self.sequences else 0.0

    @property
    def holds_sequences(self) -> bool:
        """Whether it is a column of sequences: where its cells may be words, also by their number or its name."""
        sure = self.mean_residues >= _LONG or len(self.values) > _SEVERAL or bool(self.tokens & _OF_SEQUENCES)
        return sure and self.share(self.sequences) >= _ENOUGH

    def share(self, count: int) -> float:
        """Of its filled cells."""
        return count / self.filled if self.filled else 0.0

    def add(self, cell: Cell, finds: Sequence[Callable[[str], bool]]) -> None:
        """Count a cell; `finds` says of a text whether it is an id of each side."""
        text = "" if cell is None else str(cell)
        if not text:
            return
        self.filled += 1
        self.example = self.example or text
        for side, find in enumerate(finds):
            self.ids[side] += find(text)
        if text in self.values or self.few:
            self.values[text] = self.values.get(text, 0) + 1
        if looks_like_protein(text):
            self.sequences += 1
            self.residues += len(text)
        self.words += text.lower() in WORDS
        self.signs += text in INEQUALITIES
        sign, number = split_inequality(text)
        if is_number(number) and math.isfinite(value := float(number)):
            self.numbers += 1
            self.signed += sign is not None
            self.negative += value < 0
            self.low, self.high = min(self.low, value), max(self.high, value)


def looks_like_protein(text: str) -> bool:
    """Whether a cell may be a sequence, and hardly anything else."""
    return _SEQUENCE.fullmatch(text) is not None


def counted(
    names: Sequence[str], rows: Iterable[tuple[Cell, ...]], finds: Sequence[Callable[[str], bool]]
) -> tuple[list[Column], int]:
    """All columns, and how many rows there are."""
    columns, num_rows = [Column(name) for name in names], 0
    for row in rows:
        num_rows += 1
        for column, cell in zip(columns, row, strict=True):
            column.add(cell, finds)
    return columns, num_rows
