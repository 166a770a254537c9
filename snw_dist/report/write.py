"""Leaving a report: the page, and beside it a folder with its figures and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from hpc.disk.files import atomic_write_bytes
from hpc.disk.folder import new_folder
from hpc.disk.storage import told_where
from hpc.errors import InputError
from snw_dist.report.html import rendered
from snw_dist.report.page import Page

_FILES = ("*.svg", "*.csv", "*_mqc.json")
"""What a report writes into its folder: what else is there belongs to somebody else, and stays."""


def write_report(page: Page, to: Path, more: Mapping[str, bytes] = MappingProxyType({})) -> Path:
    """Write the page as `to`, an `.html` file, and its files into the folder of the same name without the ending.

    Both appear as a whole, the page last. `more`: further files for the folder. Raises `InputError` where `to` has
    another ending.
    """
    if to.suffix != ".html":
        raise InputError(f"{to}: a report is an HTML file. Give a name that ends with .html")
    folder = to.with_suffix("")
    text, files = rendered(page, folder.name)
    with new_folder(folder, ours=_FILES) as fresh:
        for name, data in (files | dict(more)).items():
            (fresh / name).write_bytes(data)
    with told_where(to):
        atomic_write_bytes(to, text.encode())
    return to
