"""The report of a screen: of real ones, and what is said where something is missing or damaged."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpc.disk.sealed import read_sealed, write_sealed
from hpc.errors import CorruptError, InputError
from snw_dist.report.page import Commands, Figure, Table
from snw_dist.report.screening import page as screening_page
from snw_dist.report.screening.known import realised
from snw_dist.report.screening.page import screen_page
from tests.kit.page_tools import blocks_of, check_drawn, grid_of, named, text_of
from tests.unit.report.screening.conftest import Screens


def hits_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "hits")


def test_the_page_has_every_hit_and_every_record(screens: Screens, tmp_path: Path) -> None:
    page, hits = screen_page(screens.plain), hits_of(screens.plain)
    check_drawn(page, tmp_path / "screen.html")
    scores = grid_of(named(page, Figure, "hits_heat_map")).values
    assert np.isfinite(scores).sum() == len(hits) == 30
    np.testing.assert_array_equal(np.sort(scores[np.isfinite(scores)]), np.sort(hits["snw_score"]))
    records = {row[0]: list(row[1:]) for row in named(page, Table, "records_of_files").rows}
    assert records == {"ligand": [21, 20, 0, 1, 20], "receptor": [6, 6, 0, 0, 6]}
    assert "1 ligand records were left out" in text_of(page)
    assert "Nobody knows how many hits are false" in text_of(page)
    abstained = int((hits["snw_abstain"] != "").sum())
    assert page.answer.startswith("30 hits among 120 pairs")
    assert (f"; {abstained:,} of them should not be trusted" in page.answer) == bool(abstained)
    [command] = [block for block in blocks_of(page) if isinstance(block, Commands)]
    assert "--top 5 " in command.lines[0]


def test_lists_of_ligands_have_a_page_of_their_own_words(screens: Screens, tmp_path: Path) -> None:
    page = screen_page(screens.by_ligand)
    check_drawn(page, tmp_path / "screen.html")
    assert ("asked for", "the best 2 receptors of each ligand") in page.about
    figure = named(page, Figure, "promiscuous_receptors")
    assert figure.panels[0].x.title == "ligands with it among their hits"
    assert "Scores of different receptors cannot be compared" in text_of(page)
    assert "--by ligand" in str(page.sections[-1].blocks[-1])


def test_a_promise_is_shown_beside_what_labels_say(screens: Screens, tmp_path: Path) -> None:
    page, hits = screen_page(screens.promised, screens.known), hits_of(screens.promised)
    check_drawn(page, tmp_path / "screen.html")
    assert len(hits) > 0, "this test needs hits"
    labels = screens.known.set_index(["ligand_id", "receptor_id"])[["positive", "split"]]
    known = hits.join(labels, on=["ligand", "receptor"], how="inner")
    rows = {row[0]: list(row[1:]) for row in named(page, Table, "found_by_labels").rows}
    assert rows.keys() == set(known["split"])
    for split, own in known.groupby("split"):
        number, false, share, low, high, independent = rows[str(split)]
        assert (number, false) == (len(own), int((~own["positive"]).sum()))
        assert low <= share == false / number <= high  # type: ignore[operator]
        assert str(independent).startswith("no: "), "test made the cutoffs, train and val the network"
    promises = named(page, Table, "promises").rows
    assert sum(int(row[5] or 0) for row in promises) == len(hits)
    assert named(page, Figure, "false_hits").panels[0].y.names[-1] == f"known: {sorted(rows)[-1]}"


def test_known_labels_are_told_without_a_promise_too(screens: Screens, tmp_path: Path) -> None:
    """Until now --run said nothing where there was no --false-rate."""
    page = screen_page(screens.plain, screens.known)
    check_drawn(page, tmp_path / "screen.html")
    table = named(page, Table, "found_by_labels")
    assert sum(int(row[1] or 0) for row in table.rows) > 0
    assert {row[0]: row[-1] for row in table.rows}["test"] == "yes", "no cutoff was made by its pairs"
    assert not [block for block in blocks_of(page) if isinstance(block, Figure) and block.name == "false_hits"]
    assert "false" not in {section.name for section in screen_page(screens.plain).sections}


def test_what_is_in_equally_many_lists_is_no_figure(screens: Screens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty equal bars say nothing that a sentence does not."""
    found = screening_page.summed(screens.plain, "receptor")
    assert found.frequent["lists"].nunique() > 1, "this test needs different ones"
    frequent = found.frequent.assign(lists=4)
    monkeypatch.setattr(screening_page, "summed", lambda *_: dataclasses.replace(found, frequent=frequent))
    page = screen_page(screens.plain)
    assert f"Each of the {len(frequent)} ligands below is among the hits of 4 receptors." in text_of(page)
    assert not [block for block in blocks_of(page) if isinstance(block, Figure) and "promiscuous" in block.name]
    named(page, Table, "promiscuous")


def test_receptors_of_which_nothing_is_promised_are_told_by_the_reason(
    screens: Screens, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = read_sealed(screens.promised / "result.json")
    refused = [{"why": why, "receptors": [name]} for name, why in {"A": "new", "B": "few", "C": "new"}.items()]
    changed = content | {"false_hits": content["false_hits"] | {"refused": refused}}
    monkeypatch.setattr(screening_page, "read_result", lambda _: changed)
    rows = named(screen_page(screens.promised), Table, "nothing_promised").rows
    assert [list(row) for row in rows] == [["new", 2, "A, C"], ["few", 1, "B"]]


def test_without_labels_or_without_the_plan_it_says_so(screens: Screens, tmp_path: Path) -> None:
    assert "No labels are given here" in text_of(screen_page(screens.promised))
    copy = shutil.copytree(screens.promised, tmp_path / "copy")
    shutil.rmtree(copy / "work")
    nothing = screens.known.assign(ligand="AAA")
    page = screen_page(copy, nothing)
    assert "None of the hits has a known label" in text_of(page)
    assert not [block for block in blocks_of(page) if isinstance(block, Commands)]


def test_a_pair_that_is_known_twice_counts_once(screens: Screens) -> None:
    once = realised(screens.promised, screens.known)
    assert realised(screens.promised, pd.concat([screens.known, screens.known])) == once
    assert sum(one.known for one in once) == len(hits_of(screens.promised))


def test_what_is_not_there_or_damaged_is_one_clear_line(screens: Screens, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no result.json here, so no finished screen. Make one: snw-dist screen"):
        screen_page(tmp_path)
    copy = shutil.copytree(screens.plain, tmp_path / "copy")
    [file] = (copy / "hits").iterdir()
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(CorruptError, match=f"{file.name}: cannot be read"):
        screen_page(copy)
    content = read_sealed(copy / "result.json")
    write_sealed(copy / "result.json", content | {"format_version": 99})
    with pytest.raises(InputError, match="of another version of snw-dist"):
        screen_page(copy)
    (copy / "result.json").write_text("{}")
    with pytest.raises(CorruptError, match=r"result.json: cannot be read"):
        screen_page(copy)
