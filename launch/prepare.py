"""Check and clean the FASTA files and the pair table of a run: `python launch/prepare.py`."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:  # run by its path: the repository takes the place of launch/ on the module path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    import launch  # noqa: F401 - ends here where the environment is forgotten

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from hpc.errors import InputError
from hpc.shown import console
from hpc.told import long_work
from launch._cli import DEFAULT_CONFIG, ConfigOption, RunOption, SetOption, main, new_app, read_settings
from snw_dist.command import data_values
from snw_dist.config import SnwConfig
from snw_dist.data.summary import PrepareSummary, small_splits
from snw_dist.extras import require

if TYPE_CHECKING:
    from snw_dist.data.audit.findings import Finding
    from snw_dist.data.checked import Checked

app = new_app()
OnInvalidOption = Annotated[
    str | None,
    typer.Option("--on-invalid", metavar="error|skip", help="Overrides data.on_invalid."),
]
FoldOption = Annotated[int | None, typer.Option("--fold", metavar="I", help="Overrides data.split.fold.")]
SeedOption = Annotated[int | None, typer.Option("--split-seed", metavar="N", help="Overrides data.split.seed.")]
AuditOption = Annotated[bool, typer.Option("--audit", help="Also look for what is wrong with the set as a whole.")]
StrictOption = Annotated[
    bool, typer.Option("--strict", help="Audit, and write nothing (exit 2) if there is a finding.")
]
AllowChangesOption = Annotated[
    bool, typer.Option("--allow-changes", help="Replace data that a network was trained on by other ones.")
]


@app.command()
def prepare_command(
    config: ConfigOption = DEFAULT_CONFIG,
    run: RunOption = None,
    set_values: SetOption = None,
    on_invalid: OnInvalidOption = None,
    fold: FoldOption = None,
    split_seed: SeedOption = None,
    audit: AuditOption = False,
    strict: StrictOption = False,
    allow_changes: AllowChangesOption = False,
) -> None:
    """Check and clean the input tables and write them to the data folder of the run."""
    require("scipy", "sklearn")
    from snw_dist.data.prepare import check_inputs, write_prepared

    options = {"data.on_invalid": on_invalid, "data.split.fold": fold, "data.split.seed": split_seed}
    given = {key: value for key, value in options.items() if value is not None}
    settings = read_settings(config, {"run.name": run, **given}, set_values)
    given |= data_values(settings, set_values)
    checked = check_inputs(settings, stop_at_rejects=not (audit or strict))
    if audit or strict:
        _audit(settings, checked, strict)
    summary = write_prepared(settings, checked, given, allow_changes)
    _show(summary)
    _tell(summary, settings.data_folder)


def _audit(settings: SnwConfig, checked: Checked, strict: bool) -> None:
    from snw_dist.data.audit.run import audit, write_findings
    from snw_dist.data.splits.split import APART

    with long_work("the audit"):
        findings = audit(checked, APART[settings.data.split.method])
    path = write_findings(findings, settings.run_folder)
    if not findings:
        print(f"Audit: nothing found ({path})")
        return
    _show_findings(findings)
    print(f"Findings of the audit: {len(findings)}, in full in {path}")
    if strict:
        raise InputError("the audit found something, and --strict allows nothing. No data were written.")


def _show(summary: PrepareSummary) -> None:
    files = _table("file", "read", "kept", "merged", "rejected")
    for table, c in summary.counts.items():
        files.add_row(table, *(f"{n:,}" for n in (c.read, c.kept, c.merged, c.rejected)))
    symmetric = summary.made_from["settings"]["data.symmetric"]
    sides = ["proteins", "in train"] if symmetric else ["ligands", "in train", "receptors", "in train"]
    splits = _table("split", "pairs", "positive", *sides)
    for name, s in summary.splits.items():
        numbers = (s.ligands, s.ligands_in_train, s.receptors, s.receptors_in_train)
        splits.add_row(name, f"{s.pairs:,}", f"{s.positives / s.pairs:.1%}", *(f"{n:,}" for n in numbers[: len(sides)]))
    console(120).print(files, splits, sep="\n")


def _tell(summary: PrepareSummary, folder: Path) -> None:
    from snw_dist.data.tables import REJECTS

    for note in [*summary.notes, *small_splits(summary.splits)]:
        print(note)
    if any(count.rejected for count in summary.counts.values()):
        print(f"Rejected records are listed in {folder / REJECTS}")
    print(f"Written to {folder}")


def _show_findings(findings: list[Finding]) -> None:
    table = Table(show_lines=True)
    for title in ("finding", "where", "how many", "examples", "what it does to a metric"):
        table.add_column(title, overflow="fold")
    for f in findings:
        table.add_row(f.kind, f.where, f"{f.count:,} of {f.total:,}", "\n".join(f.examples), f.effect)
    console(120).print(table)


def _table(name: str, *numbers: str) -> Table:
    table = Table()
    table.add_column(name, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right")
    return table


if __name__ == "__main__":
    main(app)
