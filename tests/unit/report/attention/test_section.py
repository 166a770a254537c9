"""Attention maps: which pairs, and that what is drawn is what the network computed, letter by letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from snw_dist.config import SnwConfig
from snw_dist.evaluate.run import opened
from snw_dist.report.attention import maps
from snw_dist.report.attention.maps import attention_of, residues
from snw_dist.report.attention.pairs import chosen_pairs
from snw_dist.report.attention.section import attention_section
from snw_dist.report.page import Figure, Says
from snw_dist.report.run.files import read_run
from tests.kit.bundle_tools import measured_run, with_model
from tests.kit.page_tools import blocks_of, check_drawn, grid_of, of_section, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return measured_run(tmp_path_factory.mktemp("attended"), **with_model("cross_attention"))


def predicted(*rows: tuple[str, str, str, bool, float]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["ligand_id", "receptor_id", "split", "positive", "score"])
    return table.assign(label=table["positive"].astype(float))


def test_the_clearest_pairs_of_the_first_held_out_split_are_chosen() -> None:
    table = predicted(
        ("a", "r", "val", True, 0.99),
        ("b", "s", "test", True, 0.9),
        ("b", "r", "test", True, 0.9),
        ("c", "r", "test", True, 0.1),
        ("d", "r", "test", False, 0.8),
        ("e", "r", "other", False, 0.9),
    )
    found = {one.name: (one.ligand_id, one.receptor_id, one.score) for one in chosen_pairs(table)}
    assert found == {
        "found": ("b", "r", 0.9),
        "missed": ("c", "r", 0.1),
        "false_alarm": ("d", "r", 0.8),
        "told_apart": ("d", "r", 0.8),
    }
    assert [one.name for one in chosen_pairs(table[table["positive"]])] == ["found", "missed"]
    assert chosen_pairs(table[table["split"] == "val"]) == []


def test_letters_have_their_places_in_the_whole_sequence() -> None:
    assert residues("ACDEF", 9) == ("A1", "C2", "D3", "E4", "F5")
    assert residues("ACDEF", 3) == ("C2", "D3", "E4"), "the middle is what the network sees"


def test_what_is_drawn_is_the_networks_attention(
    run: SnwConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MOST_RECEPTOR", 5)
    monkeypatch.setattr(maps, "MOST_LIGAND", 6)
    files = read_run(run)
    section = attention_section(files)
    assert section is not None
    page = of_section(section)
    check_drawn(page, tmp_path / "attention.html")
    assert "Attention is no explanation" in text_of(page).replace("**", "")
    network, pairs = opened(run, files.prepared), files.prepared.pairs
    figures = [block for block in blocks_of(page) if isinstance(block, Figure)]
    assert [figure.name for figure in figures] == [f"attention_{one.name}" for one in chosen_pairs(files.predictions)]
    for figure, pair in zip(figures, chosen_pairs(files.predictions), strict=True):
        [row] = np.flatnonzero((pairs["ligand_id"] == pair.ligand_id) & (pairs["receptor_id"] == pair.receptor_id))
        whole = attention_of(network, int(row), torch.device("cpu"))
        assert whole.weights.shape == (8, 12)
        np.testing.assert_allclose(whole.weights.sum(axis=1), 1.0, rtol=1e-5)
        assert "".join(name[0] for name in whole.receptor) == files.prepared.receptors[pair.receptor_id]
        [panel] = figure.panels
        values = grid_of(figure).values
        assert values.shape == (6, 5)
        for y, ligand in enumerate(panel.y.names):
            for x, receptor in enumerate(panel.x.names):
                assert values[y, x] == whole.weights[whole.ligand.index(ligand), whole.receptor.index(receptor)]
        most = whole.weights.sum(axis=0)
        assert most[[whole.receptor.index(name) for name in panel.x.names]].min() >= np.sort(most)[-5]
        assert f"the 5 of 12 receptor residues that get most ({values.sum() / 6:.0%} of all)" in figure.says


def test_networks_without_attention_have_no_section(run: SnwConfig) -> None:
    files = read_run(run)
    files.metrics["provenance"]["network"] = "changeformer"
    assert attention_section(files) is None


def test_where_the_export_is_gone_the_report_says_so(run: SnwConfig) -> None:
    export = run.run_folder / "export"
    files = read_run(run)
    export.rename(run.run_folder / "hidden")
    try:
        section = attention_section(files)
    finally:
        (run.run_folder / "hidden").rename(export)
    assert section is not None
    [said] = section.blocks
    assert isinstance(said, Says)
    assert said.text.startswith("There are no attention maps: ")
