"""The report of a comparison: real runs, folds, and files that are missing or damaged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.evaluate.compare.folds import CROSS_VALIDATION, mean_over_folds
from snw_dist.evaluate.compare.runs import COMPARISON
from snw_dist.report.comparison.page import comparison_page
from snw_dist.report.page import Figure, Table
from tests.kit.bundle_tools import compared_runs
from tests.kit.comparisons import fold
from tests.kit.page_tools import check_drawn, named, points_of, text_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a comparison of two networks and two seeds."""
    return compared_runs(tmp_path_factory.mktemp("compared"), ["siamese", "triplet"], [1, 2]).run_folder


def plain_of(runs: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((runs / "compare" / COMPARISON).read_text())
    return found


def test_figures_and_differences_are_those_of_the_file(runs: Path, tmp_path: Path) -> None:
    page, plain = comparison_page(runs / "compare"), plain_of(runs)
    check_drawn(page, tmp_path / "x.html")
    [networks, ensembles] = [
        [one for one in points_of(named(page, Figure, "networks_and_controls")) if one.colour == colour]
        for colour in (0, 2)
    ]
    for number, split in enumerate(plain["splits"]):
        for drawn, kind in ((networks, "models"), (ensembles, "ensembles")):
            best_first = sorted(
                plain[kind].values(), key=lambda one: -one["splits"]["val"]["metrics"]["auroc"]["value"]
            )
            wanted = [one["splits"][split]["metrics"]["auroc"] for one in best_first]
            np.testing.assert_array_equal(drawn[number].x, [one["value"] for one in wanted])
            np.testing.assert_array_equal(drawn[number].low, [one["low"] for one in wanted])
    paired = named(page, Figure, "paired_differences")
    [verdict] = plain["networks"]["verdicts"]["test"].values()
    beside = next(mark for mark in points_of(paired) if mark.colour == 0)
    assert (beside.x[0], beside.low[0]) == (verdict["difference"]["value"], verdict["difference"]["low"])
    assert beside.texts == (verdict["sentence"],)
    costs = points_of(named(page, Figure, "what_it_costs"))
    assert costs
    assert all(mark.low is None for mark in costs), "bars of networks of one size hide each other"
    heights = [float(mark.y[0]) for mark in costs]
    up = named(page, Figure, "what_it_costs").panels[0].y
    assert up.low is not None
    assert up.high is not None
    assert up.low < min(heights) <= max(heights) < up.high, "what lies at the edge is cut by it"


def test_only_the_settings_that_differ_are_shown_with_the_runs_that_have_them(runs: Path) -> None:
    rows = named(comparison_page(runs), Table, "differing_settings").rows
    assert {row[0] for row in rows} == {"model.name", "run.seed"}
    assert ["run.seed", "2", 2, "tiny-siamese-2, tiny-triplet-2"] in [list(row) for row in rows]
    assert "config.json of these runs is not there" not in text_of(comparison_page(runs))


def test_a_run_folder_that_is_gone_is_said(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "compare", tmp_path / "moved" / "compare")
    said = text_of(comparison_page(tmp_path / "moved"))
    assert "config.json of these runs is not there any more: tiny-siamese-1, tiny-siamese-2" in said


def test_folds_are_shown_as_the_points_of_each_mean(tmp_path: Path) -> None:
    whole = mean_over_folds([fold(0), fold(1)])
    whole.write(tmp_path / "x" / "compare" / CROSS_VALIDATION)
    page = comparison_page(tmp_path / "x")
    check_drawn(page, tmp_path / "x.html")
    [first, *_] = [one for one in points_of(named(page, Figure, "networks_and_controls")) if one.faint]
    assert len(first.x) == 2 * 3, "two folds of three networks"
    assert ("measured", "2 folds, 2 runs of each network") in page.about
    assert page.warnings[0] == "Not there, because their jobs failed: x-triplet-3, x-triplet-3."
    assert "--all-folds" in str(page.sections[-1].blocks[-1])


def test_a_split_of_one_class_is_compared_by_rank_and_what_is_not_defined_is_left_out(
    runs: Path, tmp_path: Path
) -> None:
    plain = plain_of(runs)
    for kind in ("models", "ensembles", "controls"):
        for one in plain[kind].values():
            one["splits"]["test"]["metrics"]["auroc"] = {"value": None, "low": None, "high": None}
    for verdicts in (plain["verdicts"]["test"], plain["networks"]["verdicts"]["test"]):
        for found in verdicts.values():
            found["difference"] = None
    (tmp_path / "x" / "compare").mkdir(parents=True)
    (tmp_path / "x" / "compare" / COMPARISON).write_text(json.dumps(plain))
    page = comparison_page(tmp_path / "x")
    check_drawn(page, tmp_path / "x.html")
    titles = [panel.x.title for panel in named(page, Figure, "networks_and_controls").panels]
    assert sorted(set(titles)) == ["AUROC", "rank correlation"]


def test_what_is_not_there_or_damaged_is_one_clear_line(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no comparison.json here. Make one: snw-dist compare"):
        comparison_page(tmp_path)
    plain = plain_of(runs)
    for spoil in (lambda: "{", lambda: json.dumps([1]), lambda: json.dumps(plain | {"models": {"siamese": 3}})):
        (tmp_path / COMPARISON).write_text(spoil())
        with pytest.raises(CorruptError, match=r"comparison.json: .*Make it again: snw-dist compare"):
            comparison_page(tmp_path)
