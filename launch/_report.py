"""The report at the end of a command: made if its packages are there, and never a reason to fail."""

from collections.abc import Callable
from pathlib import Path

from hpc.errors import SnwError
from hpc.shown import printable
from snw_dist.extras import require

PACKAGES = ("jinja2", "markupsafe", "plotly")
DRAWING = ("crc32c", "matplotlib", "scipy", "sklearn", "zarr")
"""What reading and drawing take besides, and what most commands have needed before."""


def say_report(make: Callable[[], Path], *more: str) -> None:
    """Make a report and say where it is; else one line says why there is none. The results are there all the same.

    `more`: other modules that it takes, where the command itself does without them.
    """
    try:
        require(*PACKAGES, *more)
        print(f"Report: {printable(str(make()))}")
    except SnwError as error:
        print(f"No report was made: {printable(str(error))}")
