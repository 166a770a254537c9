"""From an id in the pair table to its sequence, and what is wrong with an id that has none.

The id of a record is the first word after `>`. Tables often name a part of it: the accession in `sp|Q6WZ1|NAME`. Where
one record alone has it, it is taken, and said.
"""

from __future__ import annotations

import difflib
import functools
import unicodedata
from collections.abc import Callable, Sequence
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

    def __init__(self, kind: str, table: SequenceTable, other: SequenceTable, files: Sequence[str]) -> None:
        self.kind, self.table, self.other, self.files = kind, table, other, files
        self.index = {identifier: i for i, identifier in enumerate(table.sequences)}
        self.suggestions = 0
        self.by_field: dict[str, str] = {}
        """What was looked up by a field between bars: the text, and the id it was found in."""

    def __call__(self, identifier: str) -> int:
        """The position of the id; raises `UnknownIdError`."""
        found = self.index.get(identifier)
        if found is not None:
            return found
        rejected = any(identifier in table.rejected_lines for table in (self.table, self.other)[: len(self.files)])
        whole = None if rejected else self._fields.get(identifier)
        if whole is None:
            raise self.explain(identifier)
        self.by_field[identifier] = whole
        return self.index[whole]

    def knows(self, text: str) -> bool:
        """Whether the text is an id, a field of one, or a sequence: then it is no name of a column."""
        return text in self.index or text in self._fields or text in self._of_sequence

    def note(self, name: str) -> str:
        """What there is to say of ids that were found by a field; empty where none was."""
        if not self.by_field:
            return ""
        text, whole = next(iter(self.by_field.items()))
        return (
            f"{name}: {len(self.by_field):,} {self.kind} ids are a field between bars of the ids in {self._where}, "
            f"such as {shorten(text)} in {shorten(whole)}."
        )

    @property
    def _where(self) -> str:
        """The settings of the files with the ids."""
        return " or ".join(self.files)

    @functools.cached_property
    def _fields(self) -> dict[str, str]:
        """From a field between bars to the id that has it, where it is one alone."""
        return {field: ids[0] for field, ids in self._ids_of_field.items() if len(ids) == 1}

    @functools.cached_property
    def _ids_of_field(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for identifier in self.index:
            if "|" in identifier:
                for field in set(filter(None, identifier.split("|"))):
                    found.setdefault(field, []).append(identifier)
        return found

    @functools.cached_property
    def _of_sequence(self) -> dict[str, str]:
        return {sequence: identifier for identifier, sequence in self.table.sequences.items()}

    @functools.cached_property
    def _folded(self) -> dict[str, str]:
        """From an id without its case and Unicode form to the id."""
        return {_fold(identifier): identifier for identifier in self.index}

    def explain(self, identifier: str) -> UnknownIdError:
        """Why there is no usable sequence of this id."""
        shown = shorten(identifier)
        if not identifier:
            return UnknownIdError("", f"the {self.kind} id is empty", "Fill it in or remove the row.")
        if line := self.table.rejected_lines.get(identifier):
            reason = f"the sequence of {self.kind} {shown!r} was rejected (line {line} of {self.files[0]})"
            return UnknownIdError(identifier, reason, "Correct that record.")
        reason = f"{self.kind} id {shown!r} is not in {self._where}"
        if line := self.other.rejected_lines.get(identifier):
            return UnknownIdError(
                identifier, f"{reason}, and was rejected in the other FASTA file (line {line})", "Correct that record."
            )
        if identifier in self.other.sequences:
            fix = "The other FASTA file has it: are data.columns.ligand and data.columns.receptor swapped?"
            return UnknownIdError(identifier, reason, fix)
        return UnknownIdError(identifier, reason, self._meant(identifier))

    def _meant(self, identifier: str) -> str:
        """Which id is meant, most surely first."""
        words = identifier.split()
        if len(words) > 1 and words[0].removeprefix(">") in self.index:
            return f"An id is the first word after >: write {shorten(words[0].removeprefix('>'))!r}."
        if identifier.startswith(">") and identifier[1:] in self.index:
            return f"Write it without >: {shorten(identifier[1:])!r}."
        if (same := self._of_sequence.get(identifier.upper())) is not None:
            return f"It is the sequence of {shorten(same)!r}: write that id."
        inside = [field for field in identifier.split("|") if field in self.index] if "|" in identifier else []
        if len(inside) == 1:
            return f"Write the field that is the id: {shorten(inside[0])!r}."
        if several := self._ids_of_field.get(identifier, []):
            return f"Several ids have it between bars, such as {shorten(several[0])!r} and {shorten(several[1])!r}."
        if (folded := self._folded.get(_fold(identifier))) is not None:
            if folded.casefold() == identifier.casefold():
                return f"Upper and lower case differ: write {shorten(folded)!r}."
            return (
                f"It looks like {shorten(folded)!r} and has other characters (Unicode forms): "
                f"{ascii(identifier)[:80]} here, {ascii(folded)[:80]} there. Copy the id of the FASTA file."
            )
        close = self.suggest(identifier)
        return f"Did you mean {shorten(close)!r}?" if close else "Add its sequence or remove the row."

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


def lookups(ligands: SequenceTable, receptors: SequenceTable) -> tuple[Lookup, Lookup]:
    """For the ligand and for the receptor of a row; the same one where both files are one set (`data.symmetric`)."""
    if ligands.sequences is receptors.sequences:
        one = Lookup("protein", ligands, receptors, ("data.ligands", "data.receptors"))
        return one, one
    left, right = (ligands, receptors), (receptors, ligands)
    return Lookup("ligand", *left, ("data.ligands",)), Lookup("receptor", *right, ("data.receptors",))


def known_in(ligands: SequenceTable, receptors: SequenceTable) -> Callable[[str], bool]:
    """Whether a text is an id, a field of one, or a sequence of either side."""
    sides = dict.fromkeys(lookups(ligands, receptors))
    return lambda text: any(side.knows(text) for side in sides)


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
