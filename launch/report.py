"""One page about a run, for people: `python launch/report.py --run NAME`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.shown import printable
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from launch._report import PACKAGES
from snw_dist.extras import require

app = new_app()
ToOption = Annotated[
    Path | None, typer.Option("--to", metavar="FILE", help="An .html file; default: report.html in the run folder.")
]


@app.command()
def report_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    to: ToOption = None,
) -> None:
    """Write what an evaluated run shows as one page that opens without network."""
    require("crc32c", "scipy", "sklearn", "matplotlib", *PACKAGES)
    from snw_dist.report.run.page import report_run

    print(f"Report: {printable(str(report_run(read_settings(config, {'run.name': run}, set_values), to)))}")


if __name__ == "__main__":
    main(app)
