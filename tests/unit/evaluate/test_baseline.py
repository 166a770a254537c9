import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hpc.errors import InputError
from snw_dist.evaluate.baseline import ALL_INPUTS, baseline_scores, position_codes, varying_columns

LETTERS = list("ACDEFGHIKLMNPQRSTVWY")


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


def peptides(rng, count):
    return ["".join(rng.choice(LETTERS, rng.integers(8, 12))) for _ in range(count)]


def problem(num_pairs=900):
    """Both the last residue of the ligand and the second of the receptor must fit: one side cannot tell."""
    rng = np.random.default_rng(0)
    receptors = np.array(["MK" + "A" * 30, "ML" + "A" * 30])
    which = rng.integers(0, 2, num_pairs)
    ligands = peptides(rng, num_pairs)
    last = np.array([ligand[-1] in "ACDEFGHIKL" for ligand in ligands])
    label = np.where(last & (which == 1), 0.9, 0.1)
    return ligands, list(receptors[which]), label, np.arange(num_pairs) < 600


def test_both_sides_learn_what_one_side_cannot():
    ligands, receptors, label, train = problem()
    held_out = ~train
    found = {
        inputs: roc_auc_score(
            label[held_out] > 0.5, baseline_scores(ligands, receptors, label, train, inputs)[held_out]
        )
        for inputs in ALL_INPUTS
    }
    # One side tells a positive from two thirds of the negatives and is at chance on the others: 5 / 6.
    assert found["both"] > 0.99
    assert 0.7 < found["ligand"] < 0.9
    assert 0.7 < found["receptor"] < 0.9


def test_scores_are_repeatable_and_blind_to_labels_outside_training():
    ligands, receptors, label, train = problem(300)
    train = train & (np.arange(300) < 150)
    first = baseline_scores(ligands, receptors, label, train)
    assert first.shape == (300,)
    assert first.dtype == np.float64
    hidden = np.where(train, label, 7.0)
    np.testing.assert_array_equal(first, baseline_scores(ligands, receptors, hidden, train))


def test_letters_and_lengths_unseen_in_training_are_scored():
    ligands, receptors, label, train = problem(200)
    train = np.arange(200) < 150
    ligands[199], receptors[198] = "X" * 70, "W" * 500
    assert np.isfinite(baseline_scores(ligands, receptors, label, train)).all()


def test_one_sequence_for_all_gives_the_mean():
    scores = baseline_scores(["ACD"] * 4, ["GHI"] * 4, [0.0, 1.0, 0.5, 9.0], [True, True, True, False])
    np.testing.assert_array_equal(scores, [0.5] * 4)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="2 training pairs"):
        baseline_scores(["A", "C"], ["G", "G"], [0.0, 1.0], [True, False])
    with pytest.raises(ValueError, match="one entry for each pair"):
        baseline_scores(["A", "C"], ["G"], [0.0, 1.0], [True, True])
    with pytest.raises(ValueError, match="must be one of both, ligand, receptor"):
        baseline_scores(["A", "C"], ["G", "G"], [0.0, 1.0], [True, True], "neither")


def test_a_training_table_too_large_is_thinned_repeatably():
    ligands, receptors, label, train = problem(200)
    train = np.arange(200) < 150
    full = baseline_scores(ligands, receptors, label, train)
    thinned = [baseline_scores(ligands, receptors, label, train, max_train_cells=20_000) for _ in range(2)]
    np.testing.assert_array_equal(*thinned)
    assert (thinned[0] != full).any()
