"""Measure the trained network of a run on its held-out splits: `python launch/evaluate.py`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.shown import console, printable
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from snw_dist.evaluate.measurable import left_out_lines
from snw_dist.evaluate.printed import printed
from snw_dist.evaluate.run import evaluate_run

app = new_app()
AllowChangesOption = Annotated[
    bool,
    typer.Option(
        "--allow-changes", help="Measure on other data than trained on, without the pairs that were; recorded."
    ),
]


@app.command()
def evaluate_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    allow_changes: AllowChangesOption = False,
) -> None:
    """Metrics with intervals beside the controls, as a table, JSON and pictures."""
    settings = read_settings(config, {"run.name": run}, set_values)
    metrics = evaluate_run(settings, allow_changes)
    console(120).print(printed(metrics))
    for difference in metrics["provenance"].get("differences", []):
        print(f"Not the data that the network was trained on: {printable(difference)}")
    for line in left_out_lines(metrics["provenance"].get("left_out", {})):
        print(printable(line))
    print(f"Written to {settings.run_folder / 'evaluation'}")


if __name__ == "__main__":
    main(app)
