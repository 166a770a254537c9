"""What is wrong with a JSON text, and where: for people who wrote it by hand."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
"""A text that is not closed goes to the end: looking for its end at each quote would take for ever."""
_HINTS = (
    (r"//|/\*|#", "comments are not allowed"),
    (r"[}\]]", "a value or key is missing before the closing {0}"),
    (r"'", "text stands in double quotes, not in single ones"),
    (r"[“”„«»‘’]", 'text stands in plain double quotes ("), not in {0}'),
    (r"(?:True|False)\b", "true and false are written in lower case"),
    (r"(?:None|undefined)\b", "nothing is written null"),
    (r"[-+]?(?:nan|inf)\w*", "{0} is no number"),
    (r"[+.]\d+", "a number begins with a digit or with -, not as {0}"),
    (r"$", "it ends too early"),
)
_KEY = (r"[\w-]+", "the key {0} must stand in double quotes")


def place(text: str, position: int) -> tuple[int, int]:
    """Line and column of a position, from 1."""
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


def why(text: str, error: json.JSONDecodeError) -> str:
    """The mistake in words, as far as it is one that people make often; else what the decoder says."""
    rest = text[error.pos :].lstrip()
    if rest[:1] in ("}", "]") and text[: error.pos].rstrip().endswith(","):
        return f"no comma may stand before the closing {rest[0]}"
    for pattern, words in (*_HINTS, _KEY) if "property name" in error.msg else _HINTS:
        if found := re.match(pattern, rest, re.IGNORECASE):
            return words.format(found[0][:40])
    if error.msg.startswith("Extra data"):
        return "something follows after its end"
    return error.msg


def repeated_key(text: str) -> tuple[str, list[int]]:
    """The first key that an object of the text has twice, and its two positions; raises `ValueError` without one."""
    open_objects: list[dict[str, int]] = []
    begin = 0
    for match in _TOKEN.finditer(text):
        if match[0] in ("{", "["):
            open_objects.append({})
        elif match[0] in ("}", "]"):
            open_objects.pop()
        elif match[0] == ":":
            key, _ = scanstring(text, begin + 1)
            if key in open_objects[-1]:
                return key, [open_objects[-1][key], begin]
            open_objects[-1][key] = begin
        else:
            begin = match.start()
    raise ValueError("no key comes twice")


def position_of(text: str, value: str) -> int:
    """Where a value that is no text stands first; 0 where it is not found."""
    return next((begin for begin, token in _values(text) if token.startswith(value)), 0)


def endless_number(text: str) -> int:
    """The position of the first whole number with more digits than Python reads."""
    most = sys.get_int_max_str_digits()
    return next((begin for begin, token in _values(text) if len(token) > most), 0)


def _values(text: str) -> Iterator[tuple[int, str]]:
    return ((match.start(), match[0]) for match in _TOKEN.finditer(text) if not match[0].startswith('"'))
