"""A screen with `--false-rate`: its hits are those of the whole selection, by any tasks, or it says why not."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.bundle.calibration_pairs import CalibrationPairs
from snw_dist.bundle.read import open_bundle
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.asked import Asked, prepared_screen
from snw_dist.screen.calibration import check_held_out, pairs_of, scored_again
from snw_dist.screen.errors.conformal import Selection, selected
from snw_dist.screen.false_hits import check_promise, said_of
from snw_dist.screen.result import summary
from snw_dist.screen.towers import Towers
from tests.kit.bundle_tools import bundled, measured_run, put, sign, with_model
from tests.kit.screen_tools import every_score, hits_of, result_of, screened, sequences_of
from tests.kit.split_tools import random_sequences

RATE = 0.2
KNOWN = 3
"""Receptors of the screen with calibration pairs; the others are like none of these."""


@pytest.fixture(scope="session")
def calibrated(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_pairs(inputs / "bundle", inputs, tmp_path_factory.mktemp("calibrated") / "bundle")


@pytest.fixture(scope="session")
def better(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network without vectors, for the second stage."""
    folder = tmp_path_factory.mktemp("better")
    made = bundled(measured_run(folder, **with_model("cross_attention")), folder / "made")
    return with_pairs(made, inputs, folder / "bundle")


def with_pairs(source: Path, inputs: Path, bundle: Path) -> Path:
    """A bundle with 60 calibration negatives that score low, so that hits are found, and some binders."""
    shutil.copytree(source, bundle)
    ligands, receptors = random_sequences(40, 8, 5), sorted(sequences_of(inputs / "r.fasta").values())[:KNOWN]
    pairs = [(ligand, receptor) for receptor in range(KNOWN) for ligand in range(len(ligands))]
    scorer = PairScorer.load(bundle, device="cpu")
    score = scorer.score([ligands[a] for a, _ in pairs], [receptors[b] for _, b in pairs]).score
    positive = score > np.sort(score)[59]
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    content = CalibrationPairs("calibration", ligands, receptors, left, right, positive.tolist(), score.tolist())
    put(bundle, "calibration_pairs.json", json.dumps(asdict(content)).encode())
    return bundle


@pytest.fixture
def promised(asked: Asked, calibrated: Path) -> Asked:
    return replace(asked, bundle=str(calibrated), top=43, false_rate=RATE)


def of_known(asked: Asked, top: int) -> tuple[pd.DataFrame, Selection]:
    """All scores of receptors with calibration pairs, once a sequence, those beyond the best as -inf; what is kept."""
    pairs = pairs_of(open_bundle(Path(asked.bundle)))
    table = every_score(asked).drop_duplicates(["ligand_sequence", "receptor"])
    table = table[table["receptor_sequence"].isin(pairs.receptors)]
    place = table.groupby("receptor").cumcount()
    table["snw_score"] = table["snw_score"].where(place < top, -np.inf)
    negatives = np.array(pairs.score)[~np.array(pairs.positive)]
    return table, selected(table["snw_score"].to_numpy(np.float64), negatives, RATE)


@pytest.mark.parametrize("top", [43, 6])
def test_the_hits_are_those_of_the_whole_selection(promised: Asked, top: int) -> None:
    folder = screened(replace(promised, top=top))
    found = hits_of(folder).drop_duplicates(["ligand_sequence", "receptor"])
    table, expected = of_known(promised, top)
    kept = table[table["snw_score"] > expected.cutoff]
    right = set(zip(kept["receptor"], kept["ligand_sequence"], strict=True))
    assert set(zip(found["receptor"], found["ligand_sequence"], strict=True)) == right
    assert 3 < len(found) == expected.num_hits < len(table)
    pairs = pairs_of(open_bundle(Path(promised.bundle)))
    negatives = np.array(pairs.score)[~np.array(pairs.positive)]
    above = [int((negatives >= one).sum()) for one in found["snw_score"]]
    assert found["snw_p_value"].tolist() == [(1 + count) / (1 + len(negatives)) for count in above]
    said = json.loads((folder / "result.json").read_text())["false_hits"]
    [one] = said["lists"]
    assert (one["name"], one["hits"], one["tested"]) == ("new receptors", expected.num_hits, 43 * KNOWN)
    assert one["estimate"] == expected.estimate <= RATE
    assert (said["rate"], said["split"]) == (RATE, "calibration")
    assert len(said["refused"]) == 6 - KNOWN
    text = summary(folder)
    assert f"{expected.num_hits} of {43 * KNOWN} pairs kept; on average at most 0.2 of them false" in text
    assert "nothing is promised of r" in text
    assert ("a larger --top would keep more" in text) == (top == 6)


def test_what_a_threshold_leaves_out_counts_as_compared(promised: Asked) -> None:
    """So that it is no hit, and hits that would be kept for its sake are not kept."""
    table, whole = of_known(promised, 43)
    score = table["snw_score"].to_numpy(np.float64)
    threshold = float(np.sort(score)[-whole.num_hits // 2])
    negatives = pairs_of(open_bundle(Path(promised.bundle)))
    known = np.array(negatives.score)[~np.array(negatives.positive)]
    expected = selected(np.where(score >= threshold, score, -np.inf), known, RATE)
    folder = screened(replace(promised, threshold=threshold))
    assert json.loads((folder / "result.json").read_text())["false_hits"]["lists"][0]["hits"] == expected.num_hits
    found = hits_of(folder).drop_duplicates(["ligand_sequence", "receptor"])
    assert len(found) == expected.num_hits < whole.num_hits


def test_with_a_second_stage_its_scores_are_promised_and_its_calibration_pairs_decide(
    promised: Asked, inputs: Path, better: Path
) -> None:
    """A pair that the first stage does not pass on counts as compared, and as no hit."""
    seen = 30
    two = replace(promised, bundle=str(inputs / "bundle"), rerank=str(better), rerank_top=seen, top=None)
    folder = screened(two)
    table, scorer = every_score(two).drop_duplicates(["ligand_sequence", "receptor"]), PairScorer.load(better)
    pairs = pairs_of(scorer.bundle)
    table = table[table["receptor_sequence"].isin(pairs.receptors)]
    score = scorer.score(table["ligand_sequence"].tolist(), table["receptor_sequence"].tolist()).score
    score[table.groupby("receptor").cumcount() >= seen] = -np.inf
    expected = selected(score, np.array(pairs.score)[~np.array(pairs.positive)], RATE)
    kept = table[score > expected.cutoff]
    found = hits_of(folder).drop_duplicates(["ligand_sequence", "receptor"])
    right = set(zip(kept["receptor"], kept["ligand_sequence"], strict=True))
    assert set(zip(found["receptor"], found["ligand_sequence"], strict=True)) == right
    assert 3 < len(found) == expected.num_hits < seen * KNOWN
    negatives = np.array(pairs.score)[~np.array(pairs.positive)]
    above = [int((negatives >= one).sum()) for one in found["snw_score"]]
    assert found["snw_p_value"].tolist() == [(1 + count) / (1 + len(negatives)) for count in above]
    content = json.loads((folder / "result.json").read_text())
    assert content["false_hits"]["lists"][0]["tested"] == 43 * KNOWN
    assert content["recall"]["hits"] == expected.num_hits
    assert content["recall"]["known_binders"] == binders_passed_on(two, pairs, seen)
    if content["false_hits"]["lists"][0]["cut_by_top"]:
        assert "a larger --rerank-top would keep more" in summary(folder)


def binders_passed_on(asked: Asked, pairs: CalibrationPairs, seen: int) -> dict[str, object]:
    """How many calibration binders score at least as high as the last ligand that the first stage passes on."""
    first = every_score(asked).drop_duplicates(["ligand_sequence", "receptor"])
    lowest = {receptor: own["snw_score"].iloc[seen - 1] for receptor, own in first.groupby("receptor_sequence")}
    binds = np.flatnonzero(pairs.positive).tolist()
    ligands, receptors = (
        [pairs.ligands[pairs.ligand[one]] for one in binds],
        [pairs.receptors[pairs.receptor[one]] for one in binds],
    )
    score = PairScorer.load(asked.bundle, device="cpu").score(ligands, receptors).score
    passed = sum(one >= lowest[receptor] for one, receptor in zip(score, receptors, strict=True))
    assert 0 < passed < len(binds)
    return {"split": "calibration", "binders": len(binds), "passed_on": int(passed)}


def test_it_is_refused_where_the_first_stage_may_have_learned_from_calibration_pairs(
    inputs: Path, better: Path, tmp_path: Path
) -> None:
    first, second = open_bundle(inputs / "bundle"), open_bundle(better)
    pairs, trained = pairs_of(second), first.read_json("trained_on.json")
    check_held_out(pairs, second, first)
    both = replace(pairs, ligands=trained["ligands"][:1] * 40, receptors=trained["receptors"][:1] * KNOWN)
    check_held_out(both, second, first)  # both learned from the same pairs, so they hold out the same ones
    shutil.copytree(inputs / "bundle", tmp_path / "other")
    sign(tmp_path / "other", lambda says: [one.update(trained_on=["0" * 64]) for one in says["members"].values()])
    other = open_bundle(tmp_path / "other")
    check_held_out(pairs, second, other)  # of sequences that it was not trained on
    with pytest.raises(InputError, match=rf"other may have learned from 120 of 120 calibration pairs of {better}"):
        check_held_out(both, second, other)


def test_any_number_of_tasks_gives_the_same_bytes(promised: Asked) -> None:
    alone = result_of(screened(replace(promised, top=6)))
    other = replace(promised, top=6, to=promised.to.with_name("array"), block_residues=1000, unit_pairs=3)
    assert result_of(screened(other, 3)) == alone


def test_a_rate_that_nothing_meets_keeps_nothing_and_says_what_it_takes(promised: Asked) -> None:
    folder = screened(replace(promised, false_rate=0.02))
    assert hits_of(folder).empty
    fewest = -(-43 * KNOWN * 50 // 61)
    said = f"(3): 0 of {43 * KNOWN} pairs kept: at least {fewest} would have to score above the 60 known negatives"
    assert said in summary(folder)


def test_scores_are_made_as_the_screen_makes_them(promised: Asked) -> None:
    """With vectors of half the digits those of the calibration pairs have them, too."""
    towers = Towers(PairScorer.load(promised.bundle, device="cpu"))
    pairs = pairs_of(towers.scorer.bundle)
    assert scored_again(pairs, towers, "float32").score == pairs.score
    rounded = scored_again(pairs, towers, "float16").score
    assert rounded != pairs.score
    np.testing.assert_allclose(rounded, pairs.score, atol=0.01)


def test_without_calibration_pairs_it_is_refused(asked: Asked) -> None:
    with pytest.raises(InputError, match=r"has no calibration pairs.*snw-dist export --calibration-split NAME"):
        prepared_screen(replace(asked, false_rate=RATE))
    with pytest.raises(InputError, match="a false rate of 2: the share"):
        prepared_screen(replace(asked, false_rate=2))
    assert not asked.to.exists()


def test_what_is_refused_is_told_before_it_begins(promised: Asked) -> None:
    receptors = list(sequences_of(promised.receptors).values())
    bundle = open_bundle(Path(promised.bundle))
    first, *reasons = check_promise(bundle, receptors, RATE)
    assert first == "no hits for 3 of 6 receptors: nothing can be promised:"
    assert all("less than 50% of its residues" in line for line in reasons)
    unlike = [one for one in receptors if one not in pairs_of(bundle).receptors]
    with pytest.raises(InputError, match=r"nothing can be promised of any receptor.* less than 50% of"):
        list(check_promise(bundle, unlike, RATE))


def test_a_list_of_one_receptor_is_told_by_its_id() -> None:
    one = {"name": "one receptor", "receptors": ["A*02"], "hits": 7, "tested": 100, "negatives": 200, "cut_by_top": 0}
    said = {"rate": 0.1, "lists": [one], "refused": []}
    assert list(said_of(said)) == [
        "A*02: 7 of 100 pairs kept; on average at most 0.1 of them false, by 200 known negatives"
    ]
