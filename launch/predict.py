"""Score pairs with a bundle: `python launch/predict.py --bundle FOLDER pairs.csv --to scored.csv`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpc.amounts import count_of
from hpc.errors import InputError
from hpc.shown import printable
from launch._cli import main, new_app
from launch._scoring import BackgroundOption, BundleOption, DeviceOption, EncoderOption, PercentileOption

if TYPE_CHECKING:
    from snw_dist.scoring.scorer import PairScorer
    from snw_dist.scoring.table.run import Accounting, Output

app = new_app()
TableArgument = Annotated[
    str | None, typer.Argument(metavar="[TABLE]", help="CSV, TSV or Parquet with pairs; - is standard input.")
]
ToOption = Annotated[
    str, typer.Option("--to", metavar="FILE", help="A .csv, .tsv or .parquet; - is standard output, the default.")
]
LigandsOption = Annotated[
    Path | None, typer.Option("--ligands", metavar="FASTA", help="The table has ids of this file.")
]
ReceptorsOption = Annotated[
    Path | None, typer.Option("--receptors", metavar="FASTA", help="The table has ids of this file.")
]
LigandOption = Annotated[
    str | None, typer.Option("--ligand", metavar="SEQUENCE|FASTA:ID", help="The ligand of all rows.")
]
ReceptorOption = Annotated[
    str | None, typer.Option("--receptor", metavar="SEQUENCE|FASTA:ID", help="The receptor of all rows.")
]
LigandColumnOption = Annotated[
    str | None, typer.Option("--ligand-column", metavar="NAME", help="The column with the ligand.")
]
ReceptorColumnOption = Annotated[
    str | None, typer.Option("--receptor-column", metavar="NAME", help="The column with the receptor.")
]
NoHeaderOption = Annotated[bool, typer.Option("--no-header", help="The first line is a row.")]
AllPairsOption = Annotated[bool, typer.Option("--all-pairs", help="Every ligand with every receptor of the FASTAs.")]
ScanOption = Annotated[
    str | None, typer.Option("--scan", metavar="8,9,...", help="Windows of these lengths of the proteins in --ligands.")
]
TopOption = Annotated[
    int | None, typer.Option("--top", metavar="N", help="Only the best N rows of each receptor; of --scan, N windows.")
]
PartOption = Annotated[
    str | None, typer.Option("--part", metavar="I/N", help="Only this part of the table, with an output of its own.")
]
MembersOption = Annotated[bool, typer.Option("--members", help="Also the score of each member.")]
OnInvalidOption = Annotated[
    str, typer.Option("--on-invalid", metavar="error|skip", help="Exit 2 (default) or 0 where rows were rejected.")
]
CacheOption = Annotated[
    Path | None, typer.Option("--cache", metavar="STORE", help="What this store holds is not embedded again.")
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Also say what loading took.")]
_MEMORY_BYTES = 2**29


@app.command()
def predict_command(
    bundle: BundleOption,
    table: TableArgument = None,
    to: ToOption = "-",
    ligands: LigandsOption = None,
    receptors: ReceptorsOption = None,
    ligand: LigandOption = None,
    receptor: ReceptorOption = None,
    ligand_column: LigandColumnOption = None,
    receptor_column: ReceptorColumnOption = None,
    no_header: NoHeaderOption = False,
    all_pairs: AllPairsOption = False,
    scan: ScanOption = None,
    top: TopOption = None,
    part: PartOption = None,
    members: MembersOption = False,
    percentile: PercentileOption = False,
    background: BackgroundOption = None,
    on_invalid: OnInvalidOption = "error",
    device: DeviceOption = "auto",
    encoder: EncoderOption = None,
    cache: CacheOption = None,
    verbose: VerboseOption = False,
) -> None:
    """Score pairs: every row with its own columns and ours behind them, or a reason why it has none."""
    from snw_dist.scoring.table.asked import Asked, check, predict

    sides = (ligands, receptors), (ligand, receptor), (ligand_column, receptor_column)
    options: dict[str, Any] = {"no_header": no_header, "all_pairs": all_pairs, "scan": scan, "top": top, "part": part}
    options |= {"members": members, "percentile": background or percentile}
    asked = Asked(table, *sides, **options, to=to, bundle=bundle)
    _check_words(on_invalid, device)
    check(asked)
    stdout = sys.stdout.buffer
    with contextlib.redirect_stdout(sys.stderr if to == "-" else sys.stdout):  # rows and messages stay apart
        scorer = _load(bundle, {"device": device, "encoder": encoder, "cache": cache}, verbose)
        done, output = predict(scorer, asked, sys.stdin.buffer, stdout)
        _say(done, output)
    if done.rejected and on_invalid == "error":
        raise InputError(_rejected(done, output, named=bool(ligands or receptors)))


def _check_words(on_invalid: str, device: str) -> None:
    if on_invalid not in ("error", "skip"):
        raise InputError(f"--on-invalid {on_invalid}: give error or skip.")
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {device}: give auto, cpu or cuda.")


def _load(bundle: str, options: dict[str, Any], verbose: bool) -> "PairScorer":
    from snw_dist.scoring.scorer import PairScorer

    scorer = PairScorer.load(bundle, **options, memory_bytes=_MEMORY_BYTES)
    if verbose:
        steps = ", ".join(f"{step} {seconds:.2f} s" for step, seconds in scorer.loading.seconds.items())
        print(f"Loading: {steps}")
    return scorer


def _say(done: "Accounting", output: "Output") -> None:
    best = f", {done.passed_over:,} not among the best" if done.passed_over else ""
    print(f"Rows: {done.rows:,} read, {done.written:,} written, {done.rejected:,} rejected{best}")
    if output.path is not None:
        print(f"Written to {printable(str(output.path))}")
    if done.rejected and output.rejected is not None:
        print(f"Rejected rows are listed in {printable(str(output.rejected))}")


def _rejected(done: "Accounting", output: "Output", named: bool) -> str:
    """`named`: ids are looked up in FASTA files."""
    where = f" They are listed in {output.rejected}." if output.rejected is not None else ""
    rest = ", and the others are written" if done.rejected < done.rows else ""
    counts = f"{done.rejected:,} of {count_of(done.rows, 'row')} were rejected{rest}.{where}"
    ids = "" if rest or named else " If the table has ids, not sequences, give --ligands FASTA --receptors FASTA."
    return f"{counts}{ids} With --on-invalid skip this is no error."


if __name__ == "__main__":
    main(app)
