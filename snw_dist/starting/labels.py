"""Which column says whether a pair binds, and of which kind its values are.

| kind | values | settings |
|---|---|---|
| `binary` | 0 and 1, or words like bound and unbound | `data.columns.label` |
| `unit` | numbers from 0 to 1 | `data.columns.label` |
| `affinity` | numbers above 0 in a column whose name says IC50, Kd, Ki, nM, uM or M | `data.scores`, `log_affinity` |
| `higher` | a name that says pIC50, pKd or -log: higher is better | the same, with `data.scores.unit` = `pK` |
| `energy` | mostly negative numbers, or a name that says kcal, dG or Rosetta: lower counts | `data.scores`, `minmax` |
| `unclear` | other numbers | none |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from hpc.errors import InputError
from snw_dist.data.files.cells import is_number
from snw_dist.data.files.rejects import shorten
from snw_dist.starting.columns import Column
from snw_dist.starting.guess import Guess

Kind = Literal["binary", "unit", "affinity", "energy", "higher", "unclear"]
_LABEL = {
    *("label", "labels", "bind", "binds", "binding", "bound", "binder", "class", "interaction", "interacts", "active"),
    *("activity", "score", "y", "target", "outcome", "positive", "status", "probability", "prob"),
}
_AFFINITY = {"ic50", "ec50", "kd", "ki", "affinity", "nm", "nanomolar", "ic50nm", "kdnm"}
_UNITS = {
    **dict.fromkeys(("nm", "nanomolar", "kdnm"), "nM"),
    **dict.fromkeys(("um", "µm", "μm", "micromolar"), "uM"),
    **dict.fromkeys(("m", "molar"), "M"),
}
_OTHER_UNITS = {"mm", "pm", "ugml"}
_HIGHER = {"pic50", "pec50", "pkd", "pki", "pk", "paffinity", "neglog"}
_MINUS_LOG = re.compile(r"(-|−|neg|minus)[ _]*log", re.IGNORECASE)
_MOST_IN_M = 1e-2
_ENERGY = {"kcal", "dg", "ddg", "deltag", "energy", "rosetta", "reu", "isc", "sc", "vina", "dock", "docking"}
TERMS = ("I_sc", "reweighted_sc", "dG_separated", "dG_cross", "interface_delta_X", "total_score", "score")
"""Of Rosetta; those of the interface first, because `total_score` is mostly that of the receptor."""
LOWER_IS_BETTER = Guess(
    "data.scores.transform", "minmax", "Lower is taken as better. The best train score becomes label 1, the worst 0"
)
_READABLE = 0.5
"""Share of the cells of a column of labels that can be read; the others are counted, and `prepare` names them."""
_IN_ORDER: tuple[Kind, ...] = ("unit", "affinity", "higher", "energy", "binary")
"""Kinds that can be used. A quantity says more than bound or not bound, which the metrics may have beside it."""
_CHOOSE = "Choose one with --set data.columns.label=NAME, or of raw scores with --set data.scores.term=NAME"


def kind_of(column: Column) -> Kind | None:
    """Of the values of a column; None for one that holds no labels."""
    tokens, numbers = column.tokens, column.numbers
    if not column.filled or column.share(max(numbers, column.words + numbers)) < _READABLE:
        return None
    if tokens & _HIGHER or _MINUS_LOG.search(column.name):
        return "higher"
    if column.words:
        return "binary" if not numbers or (column.low >= 0 and column.high <= 1) else "unclear"
    if column.few and all(is_number(text) and float(text) in (0, 1) for text in column.values):
        return "binary"
    if (tokens & _AFFINITY or column.signed) and column.low > 0:
        return "affinity"
    if column.low >= 0 and column.high <= 1:
        return "unit"
    if column.negative > numbers / 2 or tokens & _ENERGY:
        return "energy"
    return "unclear"


def guessed_label(columns: Sequence[Column], table: str) -> tuple[Column, Kind, str]:
    """The column with the labels, its kind, and why it was taken.

    Raises `InputError` where there is none, or several that say it as clearly.
    """
    kinds = {column.name: kind for column in columns if (kind := kind_of(column))}
    for column in columns:
        if column.name.lower() == "label" and (kind := kinds.get(column.name)) in _IN_ORDER:
            return column, kind, "because it is called so"
    for kind in _IN_ORDER:
        named = [column for column in columns if kinds.get(column.name) == kind and _says(column, kind)]
        named = _best_terms(named) if kind == "energy" else named
        if len(named) == 1:
            return named[0], kind, "by its name and its values"
        if named:
            raise _several(named, kinds, table)
    clear = [column for column in columns if kinds.get(column.name) in ("binary", "unit", "energy")]
    if len(clear) == 1:
        kind = kinds[clear[0].name]
        return clear[0], kind, "because no other column can be it"
    if clear:
        raise _several(clear, kinds, table)
    raise _none(columns, kinds, table)


def label_guesses(column: Column, kind: Kind, why: str) -> list[Guess]:
    """The settings by which the column becomes labels; raises `InputError` where the values cannot be as it seems."""
    values = _values(column, kind)
    if kind in ("binary", "unit"):
        return [Guess("data.columns.label", column.name, f"{values}; taken {why}")]
    name = Guess("data.scores.term", column.name, f"{values}; taken {why}")
    if kind == "energy":
        return [name, LOWER_IS_BETTER]
    unit, why = (
        ("pK", "Its name says so: -log10 of M, of which higher is better") if kind == "higher" else _unit(column)
    )
    from_nm = "500 nM and below count as bound, as is usual; label = 1 - log(nM) / log(50,000)"
    guesses = [name, Guess("data.scores.transform", "log_affinity", "The values are affinities")]
    guesses += [Guess("data.scores.unit", unit, why)]
    return [*guesses, Guess("data.positive_from", 0.426, from_nm)]


def _unit(column: Column) -> tuple[str, str]:
    """The unit of affinities, and how one knows; raises `InputError` for one that is not read."""
    if other := column.tokens & _OTHER_UNITS:
        raise InputError(
            f"column {shorten(column.name)!r} holds affinities that are in no unit that is read: its name says "
            f"{', '.join(sorted(other))}. Write them in nM, uM or M into a column of their own."
        )
    words = re.split(r"[^a-zµμ]+", column.name.lower())  # of `uM` the tokens have the m, too
    named = {unit for word in words if (unit := _UNITS.get(word))}
    if len(named) == 1:
        return named.pop(), "Its name says so; lower is better"
    if column.high <= _MOST_IN_M:
        return "M", f"The largest is {column.high:g}, which would be no affinity in nM; lower is better"
    return "nM", "Nothing says another unit; lower is better"


def _values(column: Column, kind: Kind) -> str:
    unread = column.filled - column.words - column.numbers
    count = f"{column.numbers:,} values"
    but = f". {unread:,} cells cannot be read, and prepare says which and why" if unread > 0 else ""
    if kind == "binary":
        counts = [f"{shorten(text)} {n:,}" for text, n in list(column.values.items())[:6]]
        return f"bound or not bound ({', '.join(counts)}){but}"
    signed = f", {column.signed:,} of them with < or >" if column.signed else ""
    names = {"unit": "a score", "energy": "an energy or docking score"}
    return f"{names.get(kind, 'an affinity')}: {count} from {column.low:g} to {column.high:g}{signed}{but}"


def _says(column: Column, kind: str) -> bool:
    """Whether the name of the column says that it holds a label, score or affinity."""
    if kind == "higher":
        return True
    wanted = {"affinity": _AFFINITY | _LABEL, "energy": _ENERGY | _LABEL}.get(kind, _LABEL)
    return bool(column.tokens & wanted) or (kind == "affinity" and column.signed > 0)


def _best_terms(columns: list[Column]) -> list[Column]:
    """Of several terms of Rosetta that of the interface."""
    for term in TERMS if len(columns) > 1 else ():
        found = [column for column in columns if column.name == term]
        if found:
            return found
    return columns


def _several(columns: Sequence[Column], kinds: dict[str, Kind], table: str) -> InputError:
    seen = "; ".join(f"{shorten(c.name)}: {_values(c, kinds[c.name])}" for c in columns[:6])
    return InputError(f"{table}: several columns may hold the labels ({seen}). {_CHOOSE}.")


def _none(columns: Sequence[Column], kinds: dict[str, Kind], table: str) -> InputError:
    reasons = []
    for column in columns:
        kind, name = kinds.get(column.name), shorten(column.name)
        if kind == "affinity":
            reasons.append(f"{name}: numbers from {column.low:g} to {column.high:g}")
        elif kind == "unclear":
            reasons.append(
                f"{name}: numbers from {column.low:g} to {column.high:g}, of which nothing says what they are"
            )
    seen = "; ".join(reasons[:6]) or "none has numbers, nor words like bound and unbound"
    return InputError(
        f"{table}: no column was found that says whether a pair binds. Columns beside the ids: {seen}. {_CHOOSE}. "
        "Where all pairs bind, add a column label with 1 in each row, and set data.negatives to derangement."
    )
