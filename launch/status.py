"""What the jobs of a run are doing, from any terminal: `python launch/status.py`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.shown import console
from hpc.submit.follow import say
from hpc.submit.status import advice, failures, jobs_table, jobs_to_show, ranks_table
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings

app = new_app()
FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="Of a screen, in place of the folder of a run.")
]


@app.command()
def status_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    folder: FolderOption = None,
) -> None:
    """States of the jobs of a run that live, and of the last of each kind; what each rank of a running one does."""
    found = jobs_to_show(folder or read_settings(config, {"run.name": run}, set_values).run_folder)
    jobs, states = [job for job, _ in found], [state for _, state in found]
    shown = console(160)
    shown.print(jobs_table(jobs, states))
    for text in [*failures(jobs, states), *advice(jobs, states)]:
        say(shown, text)
    for job, state in zip(jobs, states, strict=True):
        if not state.ended:
            shown.print(ranks_table(job))


if __name__ == "__main__":
    main(app)
