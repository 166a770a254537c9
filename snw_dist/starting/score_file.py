"""A Rosetta score or silent file as the table of pairs: which score is taken, and where the ids stand in a tag."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpc.errors import InputError
from snw_dist.data.files.pyrosetta import plain_tag
from snw_dist.data.files.rejects import shorten, shown_names
from snw_dist.data.files.rosetta import read_decoys, score_terms
from snw_dist.starting.guess import Guess
from snw_dist.starting.labels import LOWER_IS_BETTER, TERMS
from snw_dist.starting.sides import SIDES, Side

_LOOKED_AT = 2_000
"""Tags by which the expression is found."""
_SEPARATORS = ("_", "-", r"\.", "__", r"\+", ":", r"\|")
_FORMS = ("{a}{s}{b}(?:{s}[0-9]+)+", "{a}{s}{b}", "[^{s}]+{s}{a}{s}{b}(?:{s}[0-9]+)+")
_ENOUGH = 0.5
_SAYS = dict.fromkeys(
    ("total_score", "score"), "no score of the interface is among them, and this one counts the receptor"
)


def score_file_guesses(path: Path, sides: Sequence[Side], term: str | None, expression: str | None) -> list[Guess]:
    """The term and the expression for tags, unless they are given; `sides` are the ligands and the receptors.

    Raises `InputError` where the file does not tell.
    """
    terms = score_terms(path)
    guesses = []
    if term is None:
        term = next((known for known in TERMS if known in terms), None)
        if term is None:
            raise InputError(f"{path}: which score counts? --set data.scores.term=NAME, of {shown_names(terms)}.")
        told = f"Of {len(terms):,} terms ({shown_names(terms[:8])}): {_SAYS.get(term, 'the score of the interface')}"
        guesses = [Guess("data.scores.term", term, told), LOWER_IS_BETTER]
    if expression is None:
        tags = [decoy.tag for decoy in itertools.islice(read_decoys(path, term), _LOOKED_AT) if not decoy.problem]
        expression, matching = _best(tags, sides)
        if expression is None:
            raise InputError(
                f"{path}: no way was found to tell ligand and receptor by the tags, such as {shorten(tags[0])!r}. "
                "Give an expression for the whole tag: --set 'data.scores.description=(?P<receptor>[^_]+)_"
                r"(?P<ligand>[^_]+)_[0-9]+'."
            )
        told = (
            f"In {matching:,} of the first {len(tags):,} tags, such as {shorten(tags[0])}, it finds ids of both sides"
        )
        guesses.append(Guess("data.scores.description", expression, told))
    return guesses


def rows_of_tags(path: Path, term: str, expression: str) -> Iterator[tuple[str, str]]:
    """Ligand and receptor of each decoy; empty texts where the tag does not match."""
    compiled = re.compile(expression)
    for decoy in read_decoys(path, term):
        found = compiled.fullmatch(decoy.tag) or compiled.fullmatch(plain_tag(decoy.tag))
        yield (found["ligand"], found["receptor"]) if found else ("", "")


def _best(tags: Sequence[str], sides: Sequence[Side]) -> tuple[str | None, int]:
    """The expression that finds most pairs of known ids, with how many; None where it finds too few."""
    counts = {expression: _found(expression, tags, sides) for expression in _expressions()} if tags else {}
    best = max(counts, key=lambda expression: counts[expression], default=None)
    return (best, counts[best]) if best and counts[best] >= _ENOUGH * len(tags) else (None, 0)


def _expressions() -> Iterator[str]:
    """Both ids with a separator between them, in either order; numbers may follow, or a word stand before."""
    for separator, form, (first, second), some in itertools.product(
        _SEPARATORS, _FORMS, (SIDES[::-1], SIDES), (".+?", ".+")
    ):
        yield form.format(a=f"(?P<{first}>{some})", b=f"(?P<{second}>{some})", s=separator)


def _found(expression: str, tags: Sequence[str], sides: Sequence[Side]) -> int:
    compiled, finds = re.compile(expression), dict(zip(SIDES, (side.find.finds for side in sides), strict=True))
    matches = (compiled.fullmatch(tag) or compiled.fullmatch(plain_tag(tag)) for tag in tags)
    return sum(all(find(match[side]) for side, find in finds.items()) for match in matches if match)
