"""From an id in the pair table to its sequence, and what is wrong with an id that has none.

The id of a record is the first word after `>`. Tables often name a part of it: the accession in `sp|Q6WZ1|NAME`. Where
one record alone has it, it is taken, and said; what only names a kind of id, as `sp`, is no such field.
"""

from __future__ import annotations

import difflib
import functools
import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import islice

from snw_dist.data.files.rejects import shorten
from snw_dist.data.records.sequences import SequenceTable

_MAX_SUGGESTIONS = 20
_MAX_CANDIDATES = 20_000
_MAX_CHARACTERS = 100
"""Of an id that is compared with all others."""
_MIN_PART = 3
"""Letters of a part of an id that may tell which one is meant."""
_NO_PART = re.compile(r"[^0-9a-z]+")
_KINDS = frozenset(
    [
        "bbm",
        "bbs",
        "dbj",
        "emb",
        "gb",
        "gi",
        "gim",
        "gnl",
        "gp",
        "lcl",
        "oth",
        "pat",
        "pdb",
        "pgp",
        "pir",
        "prf",
        "ref",
        "sp",
        "tpd",
        "tpe",
        "tpg",
        "tr",
    ]
)
"""What stands before a field, and names none."""


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
        """Whether the text is an id, also of another case, a field of one, or a sequence: no name of a column."""
        found = text in self.index or text in self.table.rejected_lines or text in self._fields
        return found or text.upper() in self._of_sequence or _fold(text) in self._folded

    def finds(self, text: str) -> bool:
        """Whether a row with this id would be taken."""
        return text in self.index or (text not in self.table.rejected_lines and text in self._fields)

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
                for field in {part for part in identifier.split("|") if len(part) > 1} - _KINDS:
                    found.setdefault(field, []).append(identifier)
        return found

    @functools.cached_property
    def _of_sequence(self) -> dict[str, str]:
        return _by_sequence(self.table)

    @functools.cached_property
    def _of_other_sequence(self) -> dict[str, str]:
        return _by_sequence(self.other)

    @functools.cached_property
    def _ids_of_part(self) -> dict[str, set[str]]:
        """From a part of letters and digits to the ids that have it."""
        found: dict[str, set[str]] = {}
        for identifier in self.index:
            for part in _parts(identifier):
                found.setdefault(part, set()).add(identifier)
        return found

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
        if (same := self._of_other_sequence.get(identifier.upper())) is not None:
            return f"It is the sequence of {shorten(same)!r} in the other FASTA file."
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
        if not close:
            return "Add its sequence or remove the row."
        seen = identifier.isascii() and close.isascii()  # else both may look the same
        codes = "" if seen else f" That is {ascii(close)[:80]}, and here stands {ascii(identifier)[:80]}."
        return f"Did you mean {shorten(close)!r}?{codes}"

    def suggest(self, identifier: str) -> str | None:
        """The most similar id among those that begin alike, or among all when they are few."""
        self.suggestions += 1
        if self.suggestions > _MAX_SUGGESTIONS or len(identifier) > _MAX_CHARACTERS:
            return None
        for part in sorted(_parts(identifier), key=len, reverse=True):  # the longest that one id alone has
            if len(ids := self._ids_of_part.get(part, set())) == 1:
                return next(iter(ids))
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


def _by_sequence(table: SequenceTable) -> dict[str, str]:
    return {sequence: identifier for identifier, sequence in table.sequences.items()}


def _parts(identifier: str) -> set[str]:
    parts = _NO_PART.split(_fold(identifier))
    return {part for part in parts if len(part) >= _MIN_PART and part not in _KINDS}


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().strip()
