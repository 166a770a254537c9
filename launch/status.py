"""What the jobs of a run are doing, from any terminal: `python launch/status.py`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from hpc.follow import say
from hpc.shown import console
from hpc.status import advice, jobs_table, latest_jobs, ranks_table
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings

app = new_app()


@app.command()
def status_command(config: ConfigOption = DEFAULT_CONFIG, run: RunOption = None, set_values: SetOption = None) -> None:
    """States of the last jobs of a run, and what each rank of a running one does."""
    jobs = latest_jobs(read_settings(config, {"run.name": run}, set_values).run_folder)
    states = [job.poll() for job in jobs]
    shown = console(160)
    shown.print(jobs_table(jobs, states))
    for text in advice(jobs, states):
        say(shown, text)
    for job, state in zip(jobs, states, strict=True):
        if not state.ended:
            shown.print(ranks_table(job))


if __name__ == "__main__":
    main(app)
