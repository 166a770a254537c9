"""One page about a run, for people: `python launch/report.py --run NAME`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from collections.abc import Callable
from functools import partial
from typing import Annotated

import typer

from hpc.errors import InputError
from hpc.shown import printable
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from launch._report import DRAWING, PACKAGES
from snw_dist.config import SnwConfig
from snw_dist.extras import require

app = new_app()
ToOption = Annotated[
    Path | None, typer.Option("--to", metavar="FILE", help="An .html file; default: in the folder of what is reported.")
]
ComparisonOption = Annotated[
    Path | None, typer.Option("--comparison", metavar="FOLDER", help="Of a comparison: compare in a run folder.")
]
ScreenOption = Annotated[
    Path | None, typer.Option("--screen", metavar="FOLDER", help="Of a screen; the labels of --run, if given, join it.")
]
UmapOption = Annotated[bool, typer.Option("--umap", help="Also maps of a run by UMAP, with the extra umap.")]


@app.command()
def report_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    comparison: ComparisonOption = None,
    screen: ScreenOption = None,
    to: ToOption = None,
    umap: UmapOption = False,
) -> None:
    """Write what a run, a comparison or a screen shows as one page that opens without network."""
    require(*DRAWING, *PACKAGES, *(["umap"] if umap else []))
    if comparison is not None and (screen is not None or run is not None):
        raise InputError("--comparison: has a page of its own. Leave out --run and --screen.")
    settings = partial(read_settings, config, {"run.name": run}, set_values)
    print(f"Report: {printable(str(_written(settings, comparison, screen, run is not None, to, umap)))}")


def _written(
    settings: Callable[[], SnwConfig],
    comparison: Path | None,
    screen: Path | None,
    labels: bool,
    to: Path | None,
    umap: bool,
) -> Path:
    from snw_dist.report.comparison.page import report_comparison
    from snw_dist.report.run.page import report_run
    from snw_dist.report.screening.page import report_screen

    if comparison is not None:
        return report_comparison(comparison, to)
    if screen is not None:
        return report_screen(screen, settings() if labels else None, to)
    return report_run(settings(), to, umap)


if __name__ == "__main__":
    main(app)
