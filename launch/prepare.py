"""Check and clean the FASTA files and the pair table of a run: `python launch/prepare.py`."""

import sys
from pathlib import Path
from typing import Annotated

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import typer
from rich.console import Console
from rich.table import Table

from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, main, new_app
from snw_dist.config import load_config
from snw_dist.data.prepare import REJECTS, PrepareSummary, prepare

app = new_app()
OnInvalidOption = Annotated[
    str | None,
    typer.Option("--on-invalid", metavar="error|skip", help="Overrides data.on_invalid."),
]


@app.command()
def prepare_command(
    config: ConfigOption = DEFAULT_CONFIG, run: RunOption = None, on_invalid: OnInvalidOption = None
) -> None:
    """Check and clean the input tables and write them to the data folder of the run."""
    settings = load_config(config, {"run.name": run, "data.on_invalid": on_invalid})
    summary = prepare(settings)
    _show(summary)
    for note in summary.notes:
        print(note)
    if any(count.rejected for count in summary.counts.values()):
        print(f"Rejected records are listed in {settings.data_folder / REJECTS}")
    print(f"Written to {settings.data_folder}")


def _show(summary: PrepareSummary) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=120)
    files = _table("file", "read", "kept", "merged", "rejected")
    for table, c in summary.counts.items():
        files.add_row(table, *(f"{n:,}" for n in (c.read, c.kept, c.merged, c.rejected)))
    splits = _table("split", "pairs", "positive", "ligands", "in train", "receptors", "in train")
    for name, s in summary.splits.items():
        numbers = (s.ligands, s.ligands_in_train, s.receptors, s.receptors_in_train)
        splits.add_row(name, f"{s.pairs:,}", f"{s.positives / s.pairs:.1%}", *(f"{n:,}" for n in numbers))
    console.print(files, splits, sep="\n")


def _table(name: str, *numbers: str) -> Table:
    table = Table()
    table.add_column(name, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right")
    return table


if __name__ == "__main__":
    main(app)
