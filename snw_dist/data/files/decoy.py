"""One decoy of a score file, whatever the form of the file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hpc.errors import InputError
from snw_dist.data.files.rejects import shorten, shown_names


class Decoy(NamedTuple):
    """One decoy with its score, or `problem` when it cannot be used."""

    line: int
    tag: str
    score: str | float
    """The value of the term as it stands in the file."""
    problem: str = ""


def no_term(path: Path, number: int, terms: Sequence[str], term: str) -> InputError:
    """The error for a term that is not among those of a file, or twice."""
    close = difflib.get_close_matches(term, terms, n=1)
    state = f"term {term!r} is there twice" if terms.count(term) > 1 else f"no term {term!r}"
    hint = f", perhaps to {shorten(close[0])!r}" if close and term not in terms else ""
    return InputError(f"{path}:{number}: {state}; the terms are: {shown_names(terms)}. Set data.scores.term{hint}.")
