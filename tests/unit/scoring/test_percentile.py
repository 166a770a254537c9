"""A percentile is the share of a background that scores better, whatever is computed beside it, and computed once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist import PairScorer
from snw_dist.bundle.background import PERCENT, drawn
from snw_dist.scoring import percentile as room
from snw_dist.scoring.percentile import Percentiles, Scorer, Wanted, percentile
from snw_dist.scoring.score_cache import ScoreCache
from tests.kit.percentile_tools import (
    BACKGROUND,
    SIZE,
    CountingScorer,
    counted_one_by_one,
    percentiles_in,
    with_few_peptides,
)
from tests.kit.table_tools import FakeScorer

RECEPTORS = ["MKV", "GSHSM"]


def test_uniform_on_the_background_itself(tmp_path: Path) -> None:
    """Each of 400 different peptides has its own place: 0.125, 0.375, ... 99.875 %."""
    peptides = BACKGROUND.peptides(9)
    scores = FakeScorer().score_clean(peptides, ["MKV"] * SIZE).score
    scores += np.linspace(0, 1e-6, SIZE)  # the fake has only 9,973 different scores
    found = percentile(scores, np.sort(scores))
    np.testing.assert_allclose(np.sort(found), (np.arange(SIZE) + 0.5) * 100 / SIZE)
    assert scores[np.argmin(found)] == scores.max()


def test_equal_to_an_independent_computation(tmp_path: Path) -> None:
    pairs = [(ligand, receptor) for ligand in ("SIINFEKL", "GILGFVFTL", "NLVPMVATV", "A") for receptor in RECEPTORS]
    ligands, receptors = [one for one, _ in pairs], [one for _, one in pairs]
    scores = FakeScorer().score_clean(ligands, receptors).score
    found = percentiles_in(tmp_path).of(ligands, receptors, scores)
    assert found.tolist() == pytest.approx([counted_one_by_one(*pair) for pair in pairs], abs=1e-9)


def test_ties_count_half() -> None:
    background = np.array([0.1, 0.5, 0.5, 0.5, 0.9])
    scores = np.array([0.0, 0.1, 0.5, 0.7, 0.9, 1.0])
    assert percentile(scores, background).tolist() == pytest.approx([100, 90, 50, 20, 10, 0])
    assert percentile(np.full(3, 0.3), np.full(7, 0.3)).tolist() == [50, 50, 50]


@pytest.mark.parametrize("most_residues", [10**6, 9 * 2 * 150, 1])
def test_the_memory_changes_nothing_and_each_peptide_is_embedded_once(tmp_path: Path, most_residues: int) -> None:
    """Parts of the peptides are outside, receptors inside: what was embedded stays until all have had it."""
    scorer = CountingScorer(most_residues)
    percentiles = percentiles_in(tmp_path, scorer)
    percentiles.prepare({(receptor, 9) for receptor in RECEPTORS})
    expected = percentiles_in(tmp_path / "other")
    for receptor in RECEPTORS:
        np.testing.assert_array_equal(percentiles._find((receptor, 9)), _sorted_scores(receptor))
    parts = [first for first, _, _ in scorer.calls[::2]]
    assert [first for first, _, _ in scorer.calls[1::2]] == parts
    assert [receptor for _, receptor, _ in scorer.calls[:2]] == sorted(RECEPTORS)
    assert sum(size for *_, size in scorer.calls) == 2 * SIZE
    assert expected.needed({(RECEPTORS[0], 9)}).pairs == SIZE


def _sorted_scores(receptor: str) -> Any:
    return np.sort(FakeScorer().score_clean(BACKGROUND.peptides(9), [receptor] * SIZE).score)


def test_what_is_needed_is_what_is_computed_and_a_second_run_computes_nothing(tmp_path: Path) -> None:
    groups = {(receptor, length) for receptor in RECEPTORS for length in (8, 9, 13)}
    scorer, told = CountingScorer(), list[int]()
    first = percentiles_in(tmp_path, scorer)
    needed = first.needed(groups)
    assert needed == (4, 4 * SIZE, 2 * SIZE, 17 * SIZE)
    first.prepare(groups, told.append)
    assert scorer.num_scored == needed.pairs == told[-1]
    assert first.without([8, 13]) == [13]
    again = percentiles_in(tmp_path, other := CountingScorer())
    assert again.needed(groups) == (0, 0, 0, 0)
    again.of(["SIINFEKL"], ["MKV"], np.array([0.5]))
    assert other.num_scored == 0


def test_another_bundle_device_or_background_is_computed_anew(tmp_path: Path) -> None:
    groups = {("MKV", 9)}
    percentiles_in(tmp_path).prepare(groups)
    changed = CountingScorer()
    changed.bundle.sha256 = "1" * 64
    assert percentiles_in(tmp_path, changed).needed(groups).pairs == SIZE
    on_device = CountingScorer()
    on_device.device = cast(Any, type("Device", (), {"type": "cuda"}))
    assert percentiles_in(tmp_path, on_device).needed(groups).pairs == SIZE
    assert percentiles_in(tmp_path, background=BACKGROUND._replace(sha256="1" * 64)).needed(groups).pairs == SIZE
    assert percentiles_in(tmp_path).needed({("MKV", 10), ("MK", 9)}).pairs == 2 * SIZE


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    scores = np.array([0.25])
    first = percentiles_in(tmp_path).of(["SIINFEKL"], ["MKV"], scores)
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-9] + b"\0" * 9)
    scorer = CountingScorer()
    assert percentiles_in(tmp_path, scorer).of(["SIINFEKL"], ["MKV"], scores) == first
    assert scorer.num_scored == SIZE
    assert percentiles_in(tmp_path).needed([("MKV", 8)]).pairs == 0


def test_without_room_for_all_nothing_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither memory nor a cache for more than one background."""
    monkeypatch.setattr(room, "_MEMORY_BYTES", 1)
    ligands, receptors = ["SIINFEKL", "GILGFVFTL", "SIINFEKL"], ["MKV", "MKV", "GSHSM"]
    scores = FakeScorer().score_clean(ligands, receptors).score
    percentiles = Percentiles(cast(Scorer, CountingScorer()), BACKGROUND, ScoreCache(None))
    percentiles.prepare(Wanted.of(ligands, receptors).groups)
    found = percentiles.of(ligands, receptors, scores)
    assert found.tolist() == pytest.approx([counted_one_by_one(*pair) for pair in zip(ligands, receptors, strict=True)])


def test_no_background_is_no_number(tmp_path: Path) -> None:
    found = percentiles_in(tmp_path).of(["A" * 13, "SIINFEKL"], ["MKV", "MKV"], np.array([1.0, 1.0]))
    assert np.isnan(found).tolist() == [True, False]


def test_too_many_backgrounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_BACKGROUNDS", 3)
    wanted = Wanted.of(["A", "AA", "AA", "CC"], ["M", "M", "K", "K"])
    assert (len(wanted.groups), wanted.rows[2]) == (3, 3)
    with pytest.raises(InputError, match="more than 3"):
        wanted.add(3, "M")


def test_of_a_bundle_from_python(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the peptides of the bundle and with those of a file, the same by `score_table` and `rank`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle = with_few_peptides(Path(shutil.copytree(made, tmp_path / "bundle")))
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    scorer = PairScorer.load(bundle)
    ligands, receptor = ["GILGFVF", "SIINFEK"], "MKVLAWYHHTEL"
    found = scorer.score_table(pd.DataFrame({"ligand": ligands, "receptor": receptor}), percentile=True)
    entry = scorer.bundle.says.background
    background = scorer.score(drawn(entry.percent, entry.seed, entry.size, 7), receptor).score
    for score, share in zip(found["snw_score"], found["snw_percentile"], strict=True):
        assert share == pytest.approx(100 * (np.mean(background > score) + np.mean(background == score) / 2))
    ranked = scorer.rank(ligands, receptor, percentile=True)
    assert ranked["snw_percentile"].tolist() == sorted(found["snw_percentile"])
    (tmp_path / "proteome.fasta").write_text(">p\n" + "".join(drawn(PERCENT, 3, 1, 1200)))
    other = scorer.rank(ligands, receptor, percentile=tmp_path / "proteome.fasta")
    assert other["snw_score"].tolist() == ranked["snw_score"].tolist()
    assert other["snw_percentile"].tolist() != ranked["snw_percentile"].tolist()
    assert before == {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
