"""Ways to damage files on purpose, and to see that little memory is used: for tests of what reads them."""

from __future__ import annotations

import contextlib
import copy
import os
import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("SNW_FAULT_REPEATS", "1")) * 40
"""Inputs of a property test; 100 repeats are 4,000."""

ODD: list[Any] = [None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 10**9, 2**31, 2**53, 2**63, 2**64, 10**400]
ODD += [
    "",
    "1",
    "x",
    "../x",
    "/dev/zero",
    "\x00",
    "\n",
    "[/]",
    "é",
    "\ud800",
    [],
    {},
    [1],
    {"a": 1},
    [[[]]],
    "9" * 5000,
]
odd_values = (
    st.sampled_from(ODD).map(copy.deepcopy)  # what is put in may be changed in turn
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9)
)


@st.composite
def mutated(draw: st.DrawFn, value: Any) -> Any:
    """A copy of plain data with one to three changes: another value, a key less or more, two values exchanged."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            return draw(odd_values)
        holder, key = draw(st.sampled_from(places))
        kind = draw(st.sampled_from(["value", "value", "delete", "add", "exchange", "near"]))
        if kind == "value":
            holder[key] = draw(odd_values)
        elif kind == "delete":
            del holder[key]
        elif kind == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=9))] = draw(odd_values)
        elif kind == "near" and isinstance(holder[key], int) and not isinstance(holder[key], bool):
            holder[key] += draw(st.sampled_from([-1, 1, 64, -64]))
        else:
            other_holder, other_key = draw(st.sampled_from(places))
            holder[key], other_holder[other_key] = (
                copy.deepcopy(other_holder[other_key]),
                copy.deepcopy(holder[key]),
            )
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def flipped(data: bytes, seed: int, times: int = 3) -> bytes:
    """The bytes with some of them changed, cut, or put in twice."""
    chance, changed = random.Random(seed), bytearray(data)
    for _ in range(chance.randint(1, times)):
        position = chance.randrange(len(changed) + 1)
        kind = chance.randrange(3)
        if kind == 0 and position < len(changed):
            changed[position] = chance.randrange(256)
        elif kind == 1:
            del changed[position : position + chance.choice([1, 8, 1000])]
        else:
            changed[position:position] = changed[position : position + chance.choice([1, 8, 100])]
    return bytes(changed)


@contextlib.contextmanager
def little_memory(num_bytes: int = 700_000_000) -> Iterator[None]:
    """No more than so much is to be had inside, as the system counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
