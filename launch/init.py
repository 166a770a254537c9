"""Write a first `SNW_config.json` from the files of a folder: `python launch/init.py`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

import json
import shlex
from typing import Annotated

import typer
from rich.table import Column, Table

from hpc.shown import console
from launch._cli import DEFAULT_CONFIG, main, new_app, started_as
from snw_dist.command import values_of

app = new_app()
NewConfigOption = Annotated[Path, typer.Option("--config", metavar="FILE", help="The file to write; it must be new.")]
NameOption = Annotated[str, typer.Option("--run", metavar="NAME", help="Name of the run.")]
LigandsOption = Annotated[
    Path | None, typer.Option("--ligands", metavar="FASTA", help="When absent, a FASTA file of this folder.")
]
ReceptorsOption = Annotated[
    Path | None, typer.Option("--receptors", metavar="FASTA", help="When absent, a FASTA file of this folder.")
]
PairsOption = Annotated[
    Path | None, typer.Option("--pairs", metavar="TABLE", help="When absent, the table of this folder.")
]
GivenOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Is not guessed, but written as it is: --set train.epochs=5."),
]
STEPS = ("prepare", "embed", "train", "evaluate")


@app.command()
def init_command(
    config: NewConfigOption = DEFAULT_CONFIG,
    run: NameOption = "first",
    ligands: LigandsOption = None,
    receptors: ReceptorsOption = None,
    pairs: PairsOption = None,
    set_values: GivenOption = None,
) -> None:
    """Look at your FASTA files and your table, guess the settings, say why, and write them."""
    from snw_dist.starting.settings import first_settings
    from snw_dist.starting.written import refuse_existing, write_configuration

    refuse_existing(config)
    given = values_of(set_values)
    guesses = first_settings(
        Path(), config.parent, {"ligands": ligands, "receptors": receptors, "pairs": pairs}, given, run
    )
    write_configuration(config, guesses)
    shown = Table(*(Column(title, overflow="fold") for title in ("setting", "value", "why")), show_lines=True)
    for guess in guesses:
        value = guess.value if isinstance(guess.value, str) else json.dumps(guess.value, ensure_ascii=False)
        shown.add_row(guess.key, value, guess.why)
    console(120).print(shown)
    print(f"Written to {config}. Correct there, or with --set, what is wrong. Then:")
    for step in STEPS:
        print(f"  {shlex.join([*started_as(step), *([] if config == DEFAULT_CONFIG else ['--config', str(config)])])}")


if __name__ == "__main__":
    main(app)
