"""What people see: text from files stands there as it is, and cannot do anything.

A name may look like markup of `rich` (`pep[/]` would crash it, `a[link=...]b` lose a part), like a control sequence of
the terminal, or like a formula of a spreadsheet. Everything that is shown goes through here.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console
from rich.text import Text

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class _Console(Console):
    def render_str(self, text: str, **options: object) -> Text:
        return super().render_str(printable(text), **options)  # type: ignore[arg-type]


def console(width: int, stderr: bool = False) -> Console:
    """The terminal, or `width` columns where the output goes elsewhere; strings in it are no markup and no emoji.

    `FORCE_COLOR`, which notebooks set, makes no terminal of a file: a view drawn again each second would fill it.
    """
    shown = os.isatty(2 if stderr else 1)
    elsewhere: dict[str, Any] = {} if shown else {"width": width, "force_terminal": False}
    return _Console(markup=False, emoji=False, highlight=False, stderr=stderr, **elsewhere)


def printable(text: str) -> str:
    """The text with escapes in place of control and other invisible characters; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def spreadsheet_cell(text: str) -> str:
    """The text for a table that people open in a spreadsheet: an apostrophe keeps it from being run as a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def never_fail_to_print() -> None:
    """Let a terminal that lacks a letter show its code instead: a job must not end over what it prints."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
