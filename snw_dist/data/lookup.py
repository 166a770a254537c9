"""From an id in the pair table to its sequence, and what is wrong with an id that has none."""

from __future__ import annotations

import difflib
from itertools import islice

from snw_dist.data.rejects import shorten
from snw_dist.data.sequences import SequenceTable

_MAX_SUGGESTIONS = 20
_MAX_CANDIDATES = 20_000


class UnknownIdError(Exception):
    """An id without a usable sequence."""

    def __init__(self, value: str, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.value, self.reason, self.fix = value, reason, fix


class Lookup:
    """From an id to its position; explains what is wrong with an id that has none.

    Looking for the likeliest meant id is slow, so it is done for the first few and among a bounded number.
    """

    def __init__(self, kind: str, table: SequenceTable, other: SequenceTable) -> None:
        self.kind, self.table, self.other = kind, table, other
        self.index = {identifier: i for i, identifier in enumerate(table.sequences)}
        self.suggestions = 0

    def __call__(self, identifier: str) -> int:
        """The position of the id; raises `UnknownIdError`."""
        found = self.index.get(identifier)
        if found is None:
            raise self.explain(identifier)
        return found

    def explain(self, identifier: str) -> UnknownIdError:
        """Why there is no usable sequence of this id."""
        shown = shorten(identifier)
        if not identifier:
            return UnknownIdError("", f"the {self.kind} id is empty", "Fill it in or remove the row.")
        if line := self.table.rejected_lines.get(identifier):
            reason = f"the sequence of {self.kind} {shown!r} was rejected (line {line} of data.{self.kind}s)"
            return UnknownIdError(identifier, reason, "Correct that record.")
        reason = f"{self.kind} id {shown!r} is not in data.{self.kind}s"
        if identifier in self.other.sequences:
            fix = "The other FASTA file has it: are data.columns.ligand and data.columns.receptor swapped?"
            return UnknownIdError(identifier, reason, fix)
        close = self.suggest(identifier)
        fix = f"Did you mean {shorten(close)!r}?" if close else "Add its sequence or remove the row."
        return UnknownIdError(identifier, reason, fix)

    def suggest(self, identifier: str) -> str | None:
        """The most similar id among those that begin alike, or among all when they are few."""
        self.suggestions += 1
        if self.suggestions > _MAX_SUGGESTIONS:
            return None
        begin = identifier[:2].lower()
        all_ids = self.index if len(self.index) <= _MAX_CANDIDATES else ()
        alike = (i for i in self.index if i[:2].lower() == begin)
        close = difflib.get_close_matches(identifier, all_ids or list(islice(alike, _MAX_CANDIDATES)), n=1)
        return close[0] if close else None
