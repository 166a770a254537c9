"""The runs of a folder: `python launch/runs.py`; `--compare A B` says how two differ, `--prune` frees space."""

import sys
import time
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer
from rich.table import Column, Table

from hpc.amounts import count_of, duration, short
from hpc.errors import SnwError
from hpc.shown import console, printable
from hpc.submit.jobs_of_run import jobs_to_show
from launch._cli import DEFAULT_CONFIG, ConfigOption, SetOption, main, new_app, read_settings

app = new_app()
FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="FOLDER", help="With the runs; when absent run.folder.")
]
CompareOption = Annotated[
    tuple[str, str] | None, typer.Option("--compare", metavar="A B", help="How the settings of two runs differ.")
]
PruneOption = Annotated[
    bool, typer.Option("--prune", help="Say which checkpoints nothing needs any more, and ask whether to delete them.")
]


@app.command()
def runs_command(
    config: ConfigOption = DEFAULT_CONFIG,
    folder: FolderOption = None,
    compare: CompareOption = None,
    prune: PruneOption = False,
    set_values: SetOption = None,
) -> None:
    """Runs with their state, best figures, size and age."""
    where = folder or Path(read_settings(config, {}, set_values).run.folder)
    if compare:
        _compare(where, *compare)
    elif prune:
        _prune(where)
    else:
        _list(where)


def _list(where: Path) -> None:
    from snw_dist.runs.facts import runs_in

    shown = Table(*(Column(title, overflow="fold") for title in ("run", "state", "job", "best on val", "held out")))
    for title in ("size", "checkpoints", "store", "changed"):
        shown.add_column(title, justify="right")
    for run in runs_in(where):
        sizes = (short(num, "B") for num in (run.num_bytes, run.checkpoint_bytes, run.store_bytes))
        cells = (run.folder.name, run.stage, _job(run.folder), run.best, run.test, *sizes)
        shown.add_row(*cells, f"{duration(max(0.0, time.time() - run.changed_at))} ago")
    console(160).print(shown)


def _job(run: Path) -> str:
    """What has not ended of its jobs, as far as can be seen from here; empty where all has."""
    try:
        found = [(job.name.partition("-")[0], state) for job, state in jobs_to_show(run)]
    except SnwError:
        return ""
    return ", ".join(f"{kind} {state.status}" for kind, state in found if not state.ended)


def _compare(where: Path, one: str, other: str) -> None:
    from snw_dist.runs.compared import differences

    found = differences(where / one, where / other)
    shown = Table(*(Column(title, overflow="fold") for title in ("setting", one, other)))
    for line in found:
        shown.add_row(*line)
    console(120).print(shown if found else "No setting differs, nor do the training pairs of runs that have finished.")


def _prune(where: Path) -> None:
    from snw_dist.runs.facts import runs_in
    from snw_dist.runs.prune import prunable, prune

    idle = [run.folder for run in runs_in(where) if not _job(run.folder)]
    found = [one for one in map(prunable, idle) if one is not None]
    folders = [path for one in found for path in (*one.checkpoints, *one.set_aside)]
    for path in folders:
        print(f"  {printable(str(path))}")
    if not folders:
        print("Nothing may be deleted: a run that has finished keeps its newest and its best checkpoint.")
        return
    print(f"{count_of(len(folders), 'folder')} of {short(sum(one.num_bytes for one in found), 'B')}. All else stays.")
    if typer.confirm("Delete them?"):
        print(f"Deleted: {count_of(prune([one for one in found if not _job(one.run)]), 'folder')}")


if __name__ == "__main__":
    main(app)
