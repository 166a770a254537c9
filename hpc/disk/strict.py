"""Strict reading of plain data into pydantic dataclasses; an error names the legal keys."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import itertools
import json
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from hpc.errors import InputError, SnwError

T = TypeVar("T")
SETTINGS = ConfigDict(extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
"""Of dataclasses whose values somebody writes by hand; the text below a field describes it."""
_MOST_SHOWN = 200
"""Characters of a wrong value, and lines of a message."""
_OF_A_KEY = "[key]"
"""How pydantic says that not the value is wrong, but the key of a dictionary, which is named before."""
_UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")


def validated(kind: type[T], values: Mapping[str, Any], source: str, refuse: type[SnwError] = InputError) -> T:
    """Build a `kind` (a pydantic dataclass that forbids extra keys) from plain data.

    No value becomes one of another type: `"5"`, `5.0` and `true` are no whole numbers, and 1 is no `true`.
    `source` names where the values come from. Raises `refuse`: an `InputError` with one line for every wrong key and
    value, another error, of a file that nobody wrote by hand, with the first one.
    """
    adapter: TypeAdapter[T] = _adapter(kind)  # type: ignore[arg-type]
    if not isinstance(values, Mapping):  # what a damaged file holds
        raise refuse(f"{source}: no object with keys and values.")
    try:
        # As JSON: for Python values the strict mode takes no dictionary as a dataclass, and the other takes "5" as 5.
        return adapter.validate_json(json.dumps(dict(values), ensure_ascii=False).encode(), strict=True)
    except UnicodeEncodeError:
        raise refuse(f"{source}: a text holds half of a character (a lone surrogate).") from None
    except ValidationError as error:
        text = "\n".join(itertools.islice(_explanations(kind, error.errors(), source), _MOST_SHOWN))
        raise refuse(text if issubclass(refuse, InputError) else text.splitlines()[0]) from None


def legal_keys(kind: Any, location: tuple[Any, ...] = ()) -> str:
    """The keys that may stand at `location` (keys and list positions) below `kind`, separated by commas."""
    for part in location:
        kind = _below(kind, part)
    return ", ".join(_keys(kind)) if dataclasses.is_dataclass(kind) else "none"


def dotted_keys(kind: Any, before: str = "") -> list[str]:
    """The keys of all values below `kind`, such as `train.epochs`."""
    keys = []
    for field in dataclasses.fields(kind):
        below = _below(kind, field.name)
        key = f"{before}{field.name}"
        keys += dotted_keys(below, f"{key}.") if dataclasses.is_dataclass(below) else [key]
    return keys


def _keys(kind: Any) -> Iterator[str]:
    """What the fields of a dataclass are called in a file: some have an alias there."""
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        extras = getattr(hints[field.name], "__metadata__", ())
        yield next((extra.alias for extra in extras if getattr(extra, "alias", None)), field.name)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _below(kind: Any, part: Any) -> Any:
    """The type one step down: a field of a dataclass, an element of a list, a value of a dictionary."""
    if dataclasses.is_dataclass(kind):
        return _without_none(typing.get_type_hints(kind).get(str(part), kind))
    arguments = typing.get_args(kind)
    return _without_none(arguments[-1]) if arguments else kind


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return next(choice for choice in typing.get_args(kind) if choice is not type(None))
    return kind


def _explanations(kind: Any, items: Iterable[Any], source: str) -> Iterator[str]:
    """One line a key: a value that fits none of several types is told once, with what it could be."""
    by_key: dict[tuple[Any, ...], list[Any]] = {}
    for item in items:
        by_key.setdefault(_without_types(kind, item["loc"]), []).append(item)
    for location, same in by_key.items():
        item = same[0]
        if len(same) > 1:
            causes = dict.fromkeys(one["msg"].split(", got ")[0].removeprefix("Input should be ") for one in same)
            item = {**item, "msg": "Input should be " + " or ".join(causes)}
        yield _explain(kind, {**item, "loc": location}, source)


def _without_types(kind: Any, location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Pydantic puts the names of a union's types into the place of an error; they are no keys."""
    found: list[Any] = []
    for part in location:
        if isinstance(part, str) and not dataclasses.is_dataclass(kind) and typing.get_origin(kind) is not dict:
            continue
        found.append(part)
        kind = _below(kind, part)
    return tuple(found)


def _explain(kind: Any, item: Any, source: str) -> str:
    location = tuple(item["loc"])
    key = ".".join(str(part) for part in location)
    if item["type"] in _UNKNOWN_KEY:
        meant = _meant(kind, location)
        hint = f" Did you mean {meant}?" if meant else ""
        return f"{source}: unknown key {_short(key)}; legal here: {legal_keys(kind, location[:-1])}.{hint}"
    if location and location[-1] == _OF_A_KEY:
        return f"{source}: {'.'.join(map(str, location[:-2]))}: no name that may stand here: {_short(item['input'])}."
    cause = item["msg"].removeprefix("Value error, ")
    if not key:
        return f"{source}: {cause}."
    said = f"{source}: {shown_key(key)}: {cause} (got {_short(item['input'])})."
    return f"{said} {_description(kind, location)}".rstrip() if item["type"] == "string_pattern_mismatch" else said


def _meant(kind: Any, location: tuple[Any, ...]) -> str:
    """The key of the same place that is written most like a wrong one, or those of its name in other places."""
    place, wrong = location[:-1], str(location[-1])
    here = _keys(functools.reduce(_below, place, kind)) if dataclasses.is_dataclass(kind) else ()
    near = difflib.get_close_matches(wrong, list(here), n=1, cutoff=0.75)
    same = [key for key in dotted_keys(kind) if key.rpartition(".")[2] == wrong] if not place else []
    return ", ".join([".".join(map(str, (*place, name))) for name in near] or same)


def _description(kind: Any, location: tuple[Any, ...]) -> str:
    """The text below the field that a key belongs to; nothing where there is none."""
    fields = getattr(functools.reduce(_below, location[:-1], kind), "__pydantic_fields__", {})
    return getattr(fields.get(str(location[-1])), "description", None) or ""


def shown_key(key: str) -> str:
    """The key on one line: the file may have any text as one."""
    return repr(key)[1:-1][:_MOST_SHOWN]


def _short(value: Any) -> str:
    """A damaged file may hold anything where a number should be."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
