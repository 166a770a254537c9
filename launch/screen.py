"""Rank a library of ligands for receptors: `python launch/screen.py --bundle FOLDER ... --to FOLDER`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, cast

import typer

from hpc.job.request import Device
from hpc.shown import printable
from launch._allocation import queued_again
from launch._cli import main, new_app
from launch._report import DRAWING, say_report
from launch._scoring import BackgroundOption, BundleOption, DeviceOption, EncoderOption, PercentileOption
from launch._submit import (
    ClusterOption,
    DetachOption,
    NodesOption,
    PartitionOption,
    ProfileOption,
    TasksOption,
    TimeOption,
    cluster_overrides,
    cluster_section,
    run_jobs,
)

app = new_app()
LigandsOption = Annotated[Path, typer.Option("--ligands", metavar="FASTA", help="The library that is ranked.")]
ReceptorsOption = Annotated[Path, typer.Option("--receptors", metavar="FASTA", help="Each gets a list of hits.")]
ToOption = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="For the result; kept work is in it, too.")]
ByOption = Annotated[
    str, typer.Option("--by", metavar="receptor|ligand", help="Who gets a list, of the other side; default: receptor.")
]
TopOption = Annotated[int | None, typer.Option("--top", metavar="N", help="The best N of each list.")]
ThresholdOption = Annotated[float | None, typer.Option("--threshold", metavar="S", help="Only scores from S on.")]
FalseRateOption = Annotated[
    float | None, typer.Option("--false-rate", metavar="Q", help="At most a share Q of the hits is false, on average.")
]
RerankOption = Annotated[
    str | None, typer.Option("--rerank", metavar="FOLDER|HUB_ID", help="A better bundle that looks again at the best.")
]
RerankTopOption = Annotated[
    int | None, typer.Option("--rerank-top", metavar="N", help="At how many ligands of each receptor.")
]
ArrayOption = Annotated[int | None, typer.Option("--array", metavar="N", help="Tasks of a Slurm job array.")]
VectorsOption = Annotated[
    Path | None, typer.Option("--vectors", metavar="FOLDER", help="Kept here for later screens; default: TO/vectors.")
]
VectorDtypeOption = Annotated[
    str, typer.Option("--vector-dtype", metavar="float32|float16", help="Of the kept vectors; default: float32.")
]
OnInvalidOption = Annotated[
    str, typer.Option("--on-invalid", metavar="error|skip", help="Refuse bad records (default), or leave them out.")
]
BlockOption = Annotated[
    int | None, typer.Option("--block-residues", metavar="N", help="Residues embedded as one unit of work.")
]
UnitOption = Annotated[int | None, typer.Option("--unit-pairs", metavar="N", help="Pairs scored as one unit of work.")]
_ENTRY_POINT = "snw_dist.screen.run:run_screen"
DryOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, say what it costs, and end.")]


@app.command()
def screen_command(
    bundle: BundleOption,
    ligands: LigandsOption,
    receptors: ReceptorsOption,
    to: ToOption,
    by: ByOption = "receptor",
    top: TopOption = None,
    threshold: ThresholdOption = None,
    false_rate: FalseRateOption = None,
    rerank: RerankOption = None,
    rerank_top: RerankTopOption = None,
    percentile: PercentileOption = False,
    background: BackgroundOption = None,
    array: ArrayOption = None,
    nodes: NodesOption = None,
    tasks_per_node: TasksOption = None,
    vectors: VectorsOption = None,
    vector_dtype: VectorDtypeOption = "float32",
    encoder: EncoderOption = None,
    on_invalid: OnInvalidOption = "error",
    device: DeviceOption = "auto",
    block_residues: BlockOption = None,
    unit_pairs: UnitOption = None,
    dry_run: DryOption = False,
    cluster: ClusterOption = None,
    profile: ProfileOption = None,
    partition: PartitionOption = None,
    time_min: TimeOption = None,
    detach: DetachOption = False,
) -> None:
    """Rank a library for receptors, or these for its ligands, exactly; what is done already is kept."""
    section = cluster_section(cluster_overrides(nodes, tasks_per_node, cluster, profile, time_min, array))
    options: dict[str, Any] = {"bundle": bundle, "ligands": ligands, "receptors": receptors, "to": to, "by": by}
    options |= {"top": top, "threshold": threshold, "false_rate": false_rate, "percentile": background or percentile}
    options |= {"vectors": vectors, "dtype": vector_dtype, "encoder": encoder, "on_invalid": on_invalid}
    options |= {"rerank": rerank, "rerank_top": rerank_top, "block_residues": block_residues, "unit_pairs": unit_pairs}
    options["device"], name = device, f"screen-{to.name}"
    digest = "" if queued_again(section, to, name) else _prepared(options, dry_run, partial(_refuse_waiting, to, name))
    if digest is None:
        return
    jobs = [(name, {"to": str(to.absolute()), "plan": digest})] * section.array
    code = run_jobs(section, to, jobs, name, _ENTRY_POINT, cast(Device, device), partition, detach, beside=True)
    _say_result(to, code)


def _refuse_waiting(to: Path, name: str) -> None:
    from hpc.submit.jobs_of_run import refuse_waiting

    refuse_waiting(to, name)


def _prepared(options: dict[str, Any], dry_run: bool, begins_anew: Callable[[], None]) -> str | None:
    """The digest of the plan; None where nothing is to be done."""
    from snw_dist.screen.asked import Asked, prepared_screen

    given = {name: value for name, value in options.items() if value is not None}
    plan = prepared_screen(Asked(**given), dry_run, begins_anew)
    if plan is None:
        print(f"{printable(str(options['to']))} has this result already")
    return None if plan is None or dry_run else plan.digest


def _say_result(to: Path, code: int | None) -> None:
    from snw_dist.screen.result import summary

    if code:
        raise typer.Exit(code)
    if code is not None:
        print(summary(to))
        say_report(lambda: _report(to), *DRAWING)


def _report(to: Path) -> Path:
    from snw_dist.report.screening.page import report_screen

    return report_screen(to)


if __name__ == "__main__":
    main(app)
