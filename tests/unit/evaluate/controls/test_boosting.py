import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpc.errors import InputError
from snw_dist.evaluate.controls import boosting
from snw_dist.evaluate.controls.boosting import (
    composition_scores,
    distinct_columns,
    one_hot_scores,
    position_codes,
    varying_columns,
)
from tests.kit.evaluate_tools import pair_table, sequences


def text(codes):
    return ["".join(chr(c) if c else "." for c in row) for row in codes]


def test_positions_are_counted_from_both_ends():
    assert text(position_codes(["ACDE", "GH"], 3, 2)) == ["ACDED", "GH.HG"]


def test_no_position_beyond_the_longest_sequence():
    assert text(position_codes(["ACD", "G"], 50, 50)) == ["ACDDCA", "G..G.."]
    assert text(position_codes(["ACD", "G"], 2, 0)) == ["AC", "G."]


def test_constant_positions_make_no_column():
    positions, letters = varying_columns(position_codes(["ACA", "AD", "ACA"], 3, 0))
    assert [(p, chr(c)) for p, c in zip(positions, letters, strict=True)] == [
        (1, "C"), (1, "D"), (2, "\0"), (2, "A"),
    ]  # fmt: skip


def test_of_equal_columns_the_first_stays():
    codes = position_codes(["ACA", "AD", "ACA"], 3, 0)
    positions, letters = distinct_columns(codes, *varying_columns(codes))
    assert [(p, chr(c)) for p, c in zip(positions, letters, strict=True)] == [(1, "C"), (1, "D")]


def problem(num_pairs=900, num_train=600):
    """Both the last residue of the ligand and the second of the receptor must fit: one side cannot tell."""
    rng = np.random.default_rng(0)
    receptors = np.array(["MK" + "A" * 30, "ML" + "A" * 30])
    which = rng.integers(0, 2, num_pairs)
    ligands = sequences(rng, num_pairs)
    last = np.array([ligand[-1] in "ACDEFGHIKL" for ligand in ligands])
    pairs = pair_table(ligands, receptors[which], np.where(last & (which == 1), 0.9, 0.1))
    return pairs[:num_train].copy(), pairs[num_train:].copy()


def test_both_sides_learn_what_one_side_cannot():
    train, held_out = problem()
    both, ligand, receptor = (
        roc_auc_score(held_out["positive"], one_hot_scores(train, held_out, sides).scores)
        for sides in (["ligand", "receptor"], ["ligand"], ["receptor"])
    )
    # One side tells a positive from two thirds of the negatives and is at chance on the others: 5 / 6.
    assert both > 0.99
    assert 0.7 < ligand < 0.9
    assert 0.7 < receptor < 0.9


def test_composition_sees_lengths_and_letters_but_no_order():
    rng = np.random.default_rng(1)
    ligands = sequences(rng, 900)
    receptors = sequences(rng, 900, 20, 40)
    label = [("W" in ligand) == (len(receptor) > 30) for ligand, receptor in zip(ligands, receptors, strict=True)]
    pairs = pair_table(ligands, receptors, label)
    assert roc_auc_score(label[600:], composition_scores(pairs[:600], pairs[600:]).scores) > 0.95
    turned = pairs.assign(ligand=[ligand[::-1] for ligand in ligands])
    np.testing.assert_array_equal(
        composition_scores(pairs[:600], pairs[600:]).scores, composition_scores(pairs[:600], turned[600:]).scores
    )
    train, held_out = problem()
    assert roc_auc_score(held_out["positive"], composition_scores(train, held_out).scores) < 0.9


@pytest.mark.parametrize("score", [one_hot_scores, composition_scores])
def test_scores_are_repeatable_and_blind_to_labels_outside_training(score):
    train, held_out = problem(300, 150)
    first = score(train, held_out).scores
    assert first.shape == (150,)
    assert first.dtype == np.float64
    np.testing.assert_array_equal(first, score(train, held_out.assign(label=7.0, positive=True)).scores)


@pytest.mark.parametrize("score", [one_hot_scores, composition_scores])
def test_letters_and_lengths_unseen_in_training_are_scored(score):
    train, held_out = problem(200, 150)
    held_out.iloc[-1, held_out.columns.get_loc("ligand")] = "X" * 70
    held_out.iloc[-2, held_out.columns.get_loc("receptor")] = "W" * 500
    assert np.isfinite(score(train, held_out).scores).all()
    assert score(train, held_out[:0]).scores.shape == (0,)


def test_one_sequence_for_all_gives_the_mean():
    pairs = pair_table(["ACD"] * 4, ["GHI"] * 4, [0.0, 1.0, 0.5, 9.0])
    np.testing.assert_array_equal(one_hot_scores(pairs[:3], pairs[3:]).scores, [0.5])


def test_too_few_training_pairs_are_refused():
    pairs = pair_table(["A", "C"], ["G", "G"], [0.0, 1.0])
    with pytest.raises(InputError, match=r"2 training pairs.*evaluate\.controls"):
        one_hot_scores(pairs[:1], pairs[1:])


def test_leaving_out_what_repeats_changes_no_score(monkeypatch):
    """Families: most columns are equal in training, and not all of them in what is held out."""
    rng = np.random.default_rng(3)
    families = [list(sequence) for sequence in sequences(rng, 6, 40, 41)]
    receptors = np.array(["".join(family) for family in families])[rng.integers(0, 6, 500)]
    ligands = sequences(rng, 500)
    label = [
        len(ligand) % 7 + (ligand[0] in "ACDE") + receptor.count("A")
        for ligand, receptor in zip(ligands, receptors, strict=True)
    ]
    pairs = pair_table(ligands, receptors, np.array(label) / 20)
    held_out = pairs[400:].assign(receptor=[receptor[:20] + "W" * 20 for receptor in receptors[400:]])
    scores = one_hot_scores(pairs[:400], held_out).scores
    monkeypatch.setattr(boosting, "distinct_columns", lambda codes, positions, letters: (positions, letters))
    np.testing.assert_array_equal(scores, one_hot_scores(pairs[:400], held_out).scores)


def test_a_training_table_too_large_is_thinned_repeatably_and_that_is_told(caplog):
    caplog.set_level("INFO")
    train, held_out = problem(200, 150)
    full = one_hot_scores(train, held_out)
    thinned = [one_hot_scores(train, held_out, max_train_cells=20_000) for _ in range(2)]
    np.testing.assert_array_equal(*(found.scores for found in thinned))
    assert (thinned[0].scores != full.scores).any()
    assert (full.num_pairs, full.num_train) == (150, 150)
    assert thinned[0].num_train == 150 > thinned[0].num_pairs
    assert f"learns from {thinned[0].num_pairs} of 150 training pairs" in caplog.messages[0]
    assert len(caplog.messages) == 2
    assert "of 150 training pairs, drawn by chance" in caplog.messages[0]
