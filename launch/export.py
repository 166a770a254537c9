"""Make a folder that can be handed on of a trained network, or check one: `python launch/export.py --run NAME`."""

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpc.errors import InputError
from hpc.shown import printable
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from snw_dist.config import SnwConfig

if TYPE_CHECKING:
    from snw_dist.bundle.members import Chosen

app = new_app()
MembersOption = Annotated[
    str | None,
    typer.Option(
        "--members",
        metavar="all|best|A[,B...]",
        help="Runs of the comparison, by network or name.",
    ),
]
ToOption = Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="Default: bundle in the run folder.")]
CalibrationOption = Annotated[
    str | None,
    typer.Option("--calibration-split", metavar="NAME", help="Held-out pairs: by them screens count false hits."),
]
VerifyOption = Annotated[
    Path | None, typer.Option("--verify", metavar="FOLDER", help="Check a bundle, and what it was made from, if there.")
]


@app.command()
def export_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    members: MembersOption = None,
    to: ToOption = None,
    calibration_split: CalibrationOption = None,
    verify: VerifyOption = None,
) -> None:
    """Put networks and all that is needed to score pairs into one folder; or check one with --verify FOLDER."""
    if verify is not None and {members, to, calibration_split} != {None}:
        raise InputError("--verify makes nothing: leave --members, --to and --calibration-split out.")
    handed_on = verify is not None and config == DEFAULT_CONFIG and not config.exists()  # to who has no runs
    settings = SnwConfig() if handed_on else read_settings(config, {"run.name": run}, set_values)
    if verify is not None:
        _verify(settings, verify)
        return
    _export(settings, members, to or settings.run_folder / "bundle", calibration_split)


def _export(settings: SnwConfig, members: str | None, target: Path, calibration_split: str | None) -> None:
    from snw_dist.bundle.calibration_pairs import calibration_pairs_of
    from snw_dist.bundle.members import chosen_members
    from snw_dist.bundle.write import write_bundle

    chosen = chosen_members(settings, members)
    pairs = calibration_pairs_of(chosen, calibration_split) if calibration_split is not None else None
    mean = _measured_together(settings, chosen) if len(chosen.members) > 1 else None
    band = _band(settings, chosen, mean)
    says = write_bundle(target, settings.run.name, chosen, mean, band, settings, pairs)
    print(f"Members: {', '.join(says.members)}")
    print(f"Written to {printable(str(target))}: {sum(file.bytes for file in says.files.values()):,} bytes")
    print(_loaded_again(target))


def _loaded_again(target: Path) -> str:
    """What whoever is given the folder will do first."""
    from snw_dist.scoring.scorer import PairScorer

    loading = PairScorer.load(target).loading
    seconds = sum(loading.seconds.values())
    apart = f"differ by {loading.difference:.1g} at most from" if loading.difference else "are"
    return f"Loaded again in {seconds:.1f} s: the scores of its ten pairs {apart} those of the evaluation."


def _measured_together(settings: SnwConfig, chosen: "Chosen") -> dict[str, Any]:
    from snw_dist.evaluate.together import measure_together

    symmetric = chosen.members[0].prepared.symmetric
    return measure_together(chosen.tables, settings.evaluate.bootstrap, settings.run.seed, symmetric)


def _band(settings: SnwConfig, chosen: "Chosen", mean: dict[str, Any] | None) -> list[list[float]]:
    from snw_dist.evaluate.together import measure_band

    symmetric = chosen.members[0].prepared.symmetric
    calibration = chosen.calibration(mean)
    return measure_band(chosen.tables, calibration, settings.evaluate.bootstrap, settings.run.seed, symmetric)


def _verify(settings: SnwConfig, folder: Path) -> None:
    from snw_dist.bundle.chain import walk_chain

    for line in walk_chain(folder, settings):
        print(printable(line))


if __name__ == "__main__":
    main(app)
