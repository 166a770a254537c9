"""The network itself, as the room `inspect` draws it."""

from __future__ import annotations

from hpc.errors import SnwError
from snw_dist.inspect.run_picture import run_svg
from snw_dist.report.page import Drawing, Says, Section
from snw_dist.report.run.files import RunFiles


def network_section(run: RunFiles) -> Section | None:
    """The picture of the network; None where the store is gone, without which its sizes are not known."""
    try:
        drawn = run_svg(run.settings)
    except SnwError:
        return None
    return Section(
        "network",
        "Network",
        [
            Says(
                "What the network is made of. It was run once on a few random numbers, and what was seen is drawn: "
                "nothing is drawn by hand. snw-dist inspect prints the numbers as a table."
            ),
            Drawing("network_picture", "The network from its inputs to a score", "Read it from above.", drawn),
        ],
    )
