"""What is guessed of a setting."""

from __future__ import annotations

from typing import Any, NamedTuple


class Guess(NamedTuple):
    """A value for a key of the configuration, such as `data.columns.ligand`, and the reason for it."""

    key: str
    value: Any
    why: str
    """A sentence or several, for the comment above the key and for the terminal."""
