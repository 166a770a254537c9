"""What jobs are doing, from any terminal: `python launch/status.py`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.shown import console
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings

app = new_app()
FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="Of a screen, or of runs, in place of run.folder.")
]
FollowOption = Annotated[bool, typer.Option("--follow", help="Show them until all have ended; Ctrl-C ends no job.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="One JSON object for programs; with --follow one a line, every five seconds.")
]


@app.command()
def status_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    folder: FolderOption = None,
    follow: FollowOption = False,
    as_json: JsonOption = False,
) -> None:
    """What the jobs of all runs in run.folder do, or those of one (--run): state, progress, restarts, curves."""
    from hpc.submit.showing import as_json_lines, found_and_joining, show_and_follow, show_once
    from snw_dist.trained_run.watched import work_of

    if folder is None:
        settings = read_settings(config, {"run.name": run}, set_values)
        folder = settings.run_folder if run else Path(settings.run.folder)
    looking, joining = found_and_joining(folder, work_of)
    if as_json:
        for line in as_json_lines(looking, follow, joining):
            print(line, flush=True)
    elif follow:
        raise typer.Exit(show_and_follow(looking, console(160), joining))
    else:
        show_once(looking, console(160))


if __name__ == "__main__":
    main(app)
