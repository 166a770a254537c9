"""The report of a run from its files, and what it says where some are missing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.config import SnwConfig
from snw_dist.report.page import Commands, Page, Says, Table
from snw_dist.report.run.files import RunFiles, read_run
from snw_dist.report.run.page import report_run, run_page
from tests.kit.bundle_tools import measured_run


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return measured_run(tmp_path_factory.mktemp("measured"))


def tables(page: Page) -> dict[str, Table]:
    blocks = [block for section in page.sections for block in section.blocks]
    return {block.name: block for block in blocks if isinstance(block, Table)}


def test_a_run_without_logs_and_jobs_has_a_report(measured: SnwConfig) -> None:
    path = report_run(measured)
    assert path == measured.run_folder / "report.html"
    assert path.stat().st_size < 3e6
    found = {file.suffix for file in (measured.run_folder / "report").iterdir()}
    assert found == {".csv", ".svg", ".json"}
    drawn = (measured.run_folder / "report" / "network_picture.svg").read_text()
    assert drawn in path.read_text()


def test_figures_are_those_of_metrics_json(measured: SnwConfig) -> None:
    metrics = json.loads((measured.run_folder / "evaluation" / "metrics.json").read_text())
    auroc = metrics["model"]["splits"]["test"]["metrics"]["auroc"]
    table = tables(run_page(read_run(measured)))["quality_metrics"]
    at = [column.name for column in table.columns].index("test")
    said = f"{auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]"
    assert table.rows[0][at] == said
    calls = tables(run_page(read_run(measured)))["quality_confusion"]
    assert sum(int(cell or 0) for row in calls.rows for cell in row[1:5]) == sum(
        split["num_pairs"] for split in metrics["splits"].values()
    )


def test_without_an_evaluation_there_is_none(tmp_path: Path) -> None:
    settings = dataclasses.replace(SnwConfig(), run=dataclasses.replace(SnwConfig().run, folder=str(tmp_path)))
    with pytest.raises(InputError, match=r"a report is made of one\. Run: snw-dist evaluate"):
        read_run(settings)


def test_damage_names_the_file(measured: SnwConfig) -> None:
    path = measured.run_folder / "evaluation" / "predictions.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    try:
        with pytest.raises(CorruptError, match=r"predictions\.parquet: damaged: .* snw-dist evaluate"):
            read_run(measured)
    finally:
        path.write_bytes(whole)


def test_the_worst_errors_come_with_their_sequences(run: RunFiles) -> None:
    rows = tables(run_page(run))["quality_worst"].rows
    low, high = ([row for row in rows if str(row[0]).startswith(kind)] for kind in ("binder", "non"))
    held = run.predictions[run.predictions["split"] != "val"]
    assert low[0][2] == held.loc[held["positive"], "score"].min()
    assert high[0][2] == held.loc[~held["positive"], "score"].max()
    assert all(row[6] == run.prepared.ligands[str(row[5])] for row in rows)
    assert all(row[8] == run.prepared.receptors[str(row[7])] for row in rows)


def test_every_reject_reason_and_finding_is_there(run: RunFiles) -> None:
    found = tables(run_page(run))
    assert [row[1:3] for row in found["data_left_out"].rows] == [
        ["no partner of another family", 4],
        ["a letter that is no residue", 2],
    ]
    assert found["data_audit"].rows[0][0] == "degree bias"
    again = [
        block.lines for section in run_page(run).sections for block in section.blocks if isinstance(block, Commands)
    ]
    assert again[-1][0].endswith("--run 'made <up>-again' --set data.positive_from=0.6")


def test_data_that_changed_since_are_said(run: RunFiles) -> None:
    changed = dataclasses.replace(
        run, metrics=run.metrics | {"provenance": run.metrics["provenance"] | {"data_files": {}}}
    )
    [data] = [section for section in run_page(changed).sections if section.name == "data"]
    assert isinstance(data.blocks[0], Says)
    assert "prepared again since" in data.blocks[0].text
