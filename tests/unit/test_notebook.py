"""The notebook runs from top to bottom, and is kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def notebook() -> NotebookNode:
    return nbformat.read(ROOT / "Test4SNW.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def test_it_is_kept_without_outputs(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None), cell.id


@pytest.mark.distributed
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages
def test_it_runs_and_shows_its_pictures(
    notebook: NotebookNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MPLBACKEND")  # which tests set: Jupyter's own shows pictures in the notebook
    for name in ("launch", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    settings = json.loads((ROOT / "SNW_config.json").read_text())
    settings["train"]["max_steps"] = 20  # every command is started as it stands in the notebook, with less to do
    settings["evaluate"] = {"bootstrap": 20, "controls": ["degree"]}
    (tmp_path / "SNW_config.json").write_text(json.dumps(settings))  # paths in it begin at its folder
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    pictures = [
        cell.id
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 5
    assert (tmp_path / "runs" / "notebook" / "bundle" / "bundle.json").exists()
