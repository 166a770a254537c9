"""The map of a run: its colours, what it says, and why there is none."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from snw_dist.config import SnwConfig
from snw_dist.evaluate.run import opened
from snw_dist.report.map import places
from snw_dist.report.map.places import known_of, network_vectors
from snw_dist.report.map.section import map_section, scored_pairs
from snw_dist.report.page import Figure, Says
from snw_dist.report.run.files import read_run
from tests.kit.bundle_tools import measured_run, with_model
from tests.kit.page_tools import check_drawn, named, of_section, points_of, text_of


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    return measured_run(tmp_path_factory.mktemp("mapped"), **with_model("pseudo_siamese"))


def test_two_towers_have_a_map_of_each_colouring(run: SnwConfig, tmp_path: Path) -> None:
    page = of_section(map_section(read_run(run)))
    check_drawn(page, tmp_path / "map.html")
    for space, colourings in (("network", ("split", "label", "group", "error")), ("encoder", ("split", "group"))):
        for colouring in colourings:
            figure = named(page, Figure, f"map_{space}_{colouring}")
            assert [panel.title for panel in figure.panels] == ["ligands", "receptors"]
            assert sum(len(mark.x) for mark in figure.panels[1].marks) == 6, "every receptor once"
            assert re.search(r"axis 1 \(\d+% of the variance\)", figure.panels[0].x.title)
    network = named(page, Figure, "map_network_split").panels
    assert (network[0].x, network[0].y) == (network[1].x, network[1].y), "one map of both sides"
    assert "Drawn are" not in text_of(page)


def test_the_closer_two_points_of_the_network_the_higher_is_their_score(run: SnwConfig) -> None:
    """In all dimensions: the map is made of the vectors that scores are made of."""
    files = read_run(run)
    pairs = scored_pairs(files.prepared, files.predictions)
    known, network = known_of(pairs, False, 1), opened(run, files.prepared)
    vectors = network_vectors(network, known, run)
    assert vectors is not None
    scored = pairs.dropna(subset=["score"])
    of_sequence = [dict(zip(one.table["sequence"], own, strict=True)) for one, own in zip(known, vectors, strict=True)]
    apart = [np.linalg.norm(of_sequence[0][row.ligand] - of_sequence[1][row.receptor]) for row in scored.itertuples()]
    order = pd.Series(apart).corr(scored["score"].reset_index(drop=True), method="spearman")
    assert order < -0.999


def test_maps_by_umap_are_there_if_asked_for(run: SnwConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """UMAP itself compiles for twenty seconds: `tests/bench/umap_of_report.py` looks at it."""
    monkeypatch.setattr(places, "neighbour_places", lambda vectors, training, seed: None)
    assert "There is no UMAP: it takes 20 training sequences" in text_of(of_section(map_section(read_run(run), True)))
    monkeypatch.setattr(places, "neighbour_places", lambda vectors, training, seed: vectors[:, :2])
    page = of_section(map_section(read_run(run), umap=True))
    check_drawn(page, tmp_path / "map.html")
    for colouring in ("split", "label", "group", "error"):
        figure = named(page, Figure, f"umap_network_{colouring}")
        assert [panel.x.title for panel in figure.panels] == ["no unit", "no unit"]
    assert "How far apart groups are, and how large they are, means nothing" in text_of(page)


def test_a_network_without_vectors_has_the_encoders_map_in_all_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = measured_run(tmp_path, **with_model("cross_attention"))
    monkeypatch.setattr(places, "MOST", {"ligand": 8, "receptor": 6})
    page = of_section(map_section(read_run(config)))
    names = [block.name for section in page.sections for block in section.blocks if isinstance(block, Figure)]
    assert names == [f"map_encoder_{name}" for name in ("split", "label", "group", "error")]
    assert "Drawn are 8 of 20 ligands, by chance: of each split equally many" in text_of(page)
    assert sum(len(mark.x) for mark in points_of(named(page, Figure, "map_encoder_split"))) == 8 + 6


def test_where_the_store_is_gone_the_report_says_so_and_goes_on(run: SnwConfig, tmp_path: Path) -> None:
    moved = shutil.move(run.store_path, tmp_path / "store.zarr")
    try:
        [said] = map_section(read_run(run)).blocks
    finally:
        shutil.move(moved, run.store_path)
    assert isinstance(said, Says)
    assert said.text.startswith("There is no map: ")
    assert str(run.store_path) in said.text
