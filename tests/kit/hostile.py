"""Content that somebody has made to do harm, for property tests: valid JSON with something in it changed."""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "1"))


def bounded(examples: int) -> settings:
    """So many examples, or as many times more as `SNW_FAULT_REPEATS` says; the same ones in each quick run."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(
        max_examples=examples * REPEATS,
        deadline=None,
        derandomize=REPEATS == 1,
        suppress_health_check=checks,
        database=None,
    )


ODD_NUMBERS = st.sampled_from([0, -1, 1, 2, 7, 2**31, 2**32, 2**48, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30, 10**400])
ODD_TEXTS = st.sampled_from(
    ["", "\0", "..", "../../x", "/etc/passwd", "\ud7ff", "é", "a\nb", "[/]", "x" * 5000, "1", "NaN"]
)
SCALARS = st.none() | st.booleans() | ODD_NUMBERS | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    SCALARS | ODD_TEXTS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=6,
)


def mutated(value: Any) -> st.SearchStrategy[Any]:
    """`value` with one to three of its parts replaced, removed, added, doubled or exchanged."""

    @st.composite
    def change(draw: st.DrawFn) -> Any:
        changed = copy.deepcopy(value)
        for _ in range(draw(st.integers(1, 3))):
            changed = _changed_once(draw, changed)
        return changed

    return change()


def _changed_once(draw: st.DrawFn, value: Any) -> Any:
    places = [(holder, key) for holder in _holders(value) for key in _keys(holder)]
    if not places:
        return draw(JSON_VALUES)
    holder, key = places[draw(st.integers(0, len(places) - 1))]
    kind = draw(st.sampled_from(["replace", "replace", "remove", "add", "exchange", "deep"]))
    if kind == "remove":
        del holder[key]
    elif kind == "add" and isinstance(holder, dict):
        holder[draw(st.text(max_size=8))] = draw(JSON_VALUES)
    elif kind == "add":
        holder.append(draw(JSON_VALUES))
    elif kind == "exchange":
        other, place = places[draw(st.integers(0, len(places) - 1))]
        holder[key] = copy.deepcopy(other[place])
    elif kind == "deep":
        for _ in range(draw(st.sampled_from([3, 70, 300]))):
            holder[key] = [holder[key]]
    else:
        holder[key] = draw(JSON_VALUES)
    return value


def _holders(value: Any) -> list[Any]:
    found, level = [], [value]
    while level:
        holders = [item for item in level if isinstance(item, dict | list)]
        found += holders
        level = [item for holder in holders for item in (holder.values() if isinstance(holder, dict) else holder)]
    return found


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))
