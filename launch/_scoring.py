"""Options of the commands that score with a bundle."""

from pathlib import Path
from typing import Annotated

import typer

BundleOption = Annotated[str, typer.Option("--bundle", metavar="FOLDER|HUB_ID", help="What snw-dist export made.")]
PercentileOption = Annotated[
    bool, typer.Option("--percentile", help="Also the share of natural peptides that score better.")
]
BackgroundOption = Annotated[
    Path | None, typer.Option("--background", metavar="FASTA", help="Percentiles by windows of these proteins.")
]
DeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Default: auto.")]
EncoderOption = Annotated[
    str | None, typer.Option("--encoder", metavar="FILE|FOLDER|HUB_ID", help="Where ESM C is, if elsewhere.")
]
