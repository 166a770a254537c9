"""Draw the network of a run, and print its layers: `python launch/inspect.py --run demo`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import Annotated

import typer

from hpc.shown import console
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from snw_dist.extras import require

app = new_app()
ToOption = Annotated[
    Path | None, typer.Option("--to", metavar="FILE", help="Where the picture goes; when absent RUN/network.svg.")
]
WidthOption = Annotated[
    int | None,
    typer.Option("--width", metavar="N", min=1, max=1_000_000, help="Numbers a residue, where there is no store yet."),
]
LigandOption = Annotated[
    int, typer.Option("--ligand-length", metavar="N", min=1, max=100_000, help="Residues that operations are told for.")
]
ReceptorOption = Annotated[
    int, typer.Option("--receptor-length", metavar="N", min=1, max=100_000, help="Likewise, of the receptor.")
]
AllOption = Annotated[
    Path | None,
    typer.Option("--all", metavar="FOLDER", help="No run: draw each of the six networks, as --size makes it."),
]
SizeOption = Annotated[str, typer.Option("--size", metavar="light|base|large", help="Of the networks of --all.")]


@app.command()
def inspect_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    to: ToOption = None,
    width: WidthOption = None,
    ligand_length: LigandOption = 16,
    receptor_length: ReceptorOption = 256,
    every: AllOption = None,
    size: SizeOption = "base",
) -> None:
    """The network as it runs: a picture of its blocks with shapes, parameters and operations, and its layers."""
    from snw_dist.inspect.write import write_all, write_run

    lengths = ligand_length, receptor_length
    if every is not None:
        write_all(every, size, width, lengths)
        return
    require("torchinfo")
    settings = read_settings(config, {"run.name": run}, set_values)
    blocks, layers = write_run(settings, to or settings.run_folder / "network.svg", width, lengths)
    console(120).print(blocks)
    print(layers)


if __name__ == "__main__":
    main(app)
