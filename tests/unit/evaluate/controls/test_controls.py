import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from snw_dist.data.prepared import Prepared
from snw_dist.evaluate.controls.controls import (
    DATA_CONTROLS,
    MEANING,
    MODEL_CONTROLS,
    chosen_controls,
    data_controls,
    degree_scores,
)
from snw_dist.evaluate.controls.neighbour import neighbour_scores
from snw_dist.evaluate.measure.held_out import pairs_of
from tests.kit.evaluate_tools import LETTERS, pair_table, sequences


def test_strata_go_by_sequence_and_side_and_not_by_id():
    ligands = {"l1": "AAA", "l2": "CCC", "alias": "AAA", "l3": "DDD", "like r1": "WWW"}
    receptors = {"r1": "WWW", "r2": "YYY", "other name": "WWW"}
    rows = [
        ("l1", "r1", 0.9, True, "train", "both seen"),
        ("l2", "r2", 0.1, False, "train", "both seen"),
        ("alias", "other name", 0.9, True, "test", "both seen"),
        ("l2", "r1", 0.2, False, "test", "both seen"),
        ("l3", "other name", 0.3, False, "val", "one seen"),
        ("like r1", "r1", 0.3, False, "test", "one seen"),
    ]
    columns = ["ligand_id", "receptor_id", "label", "positive", "split", "stratum"]
    expected = pd.DataFrame(rows, columns=columns)
    prepared = Prepared(ligands, {**receptors, "r3": "VVV"}, expected.drop(columns="stratum").assign(weight=1.0), {})
    found = pairs_of(prepared)
    assert list(found["stratum"]) == list(expected["stratum"])
    assert list(found["receptor"]) == ["WWW", "YYY", "WWW", "WWW", "WWW", "WWW"]
    none_seen = pd.DataFrame([("l3", "r3", 0.5, True, "test")], columns=columns[:-1])
    both = pd.concat([prepared.pairs, none_seen], ignore_index=True)
    assert pairs_of(Prepared(ligands, prepared.receptors, both, {}))["stratum"].iloc[-1] == "none seen"


def test_degree_is_the_share_of_positives_of_both_sides():
    # By hand: base (2 + .5) / (4 + 1) = .5; ligand A is positive in 2 of 2, receptor X in 1 of 2, Y in 1 of 2.
    train = pair_table(["A", "A", "C", "C"], ["X", "Y", "X", "Y"], [0.6, 1.0, 0.0, 0.4])
    held_out = pair_table(["A", "C", "new", "A"], ["X", "new", "new", "new"], [0, 0, 0, 0])
    np.testing.assert_allclose(degree_scores(train, held_out), [2.5 / 3, 0.5 / 3, 0.5, 2.5 / 3])


def test_degree_combines_the_odds_of_both_sides():
    train = pair_table(["A"] * 3 + ["C"] * 3, ["X", "X", "Y"] * 2, [1, 1, 0, 1, 0, 0])
    base, ligand, receptor = 3.5 / 7, (2 + 0.5) / 4, (3 + 0.5) / 5
    odds = ligand / (1 - ligand) * receptor / (1 - receptor) * (1 - base) / base
    found = degree_scores(train, pair_table(["A"], ["X"], [0]))
    np.testing.assert_allclose(found, [odds / (1 + odds)])


def test_degree_without_any_positive_is_defined():
    train = pair_table(["A", "C"], ["X", "X"], [0, 0])
    assert np.isfinite(degree_scores(train, train)).all()


def mutated(rng, sequence):
    place = rng.integers(1, len(sequence) - 1)
    return sequence[:place] + rng.choice(LETTERS) + sequence[place + 1 :]


def families(seed=0):
    """Pairs of mutated members of 12 ligand and 6 receptor families; the label belongs to the two families."""
    rng = np.random.default_rng(seed)
    founders = sequences(rng, 12, 15, 20), sequences(rng, 6, 60, 80)
    binds = rng.random((12, 6)) < 0.4
    which = rng.integers(0, 12, 1500), rng.integers(0, 6, 1500)
    sides = [[mutated(rng, f[i]) for i in w] for f, w in zip(founders, which, strict=True)]
    pairs = pair_table(*sides, binds[which].astype(float))
    return pairs[:1200], pairs[1200:]


def test_neighbours_know_families_of_both_sides():
    train, held_out = families()
    assert roc_auc_score(held_out["positive"], neighbour_scores(train, held_out).scores) > 0.97


def test_neighbours_do_not_depend_on_the_order_of_rows():
    train, held_out = families()
    first = neighbour_scores(train, held_out).scores
    mixed = np.random.default_rng(3).permutation(len(held_out))
    again = neighbour_scores(train.sample(frac=1, random_state=1), held_out.iloc[mixed]).scores
    np.testing.assert_allclose(again, first[mixed], atol=1e-12)


def test_neighbours_of_ties_all_count():
    train = pair_table(["ACDEFG"] * 30 + ["WWWWWW"] * 30, ["MKV"] * 60, [1.0] * 29 + [0.0] * 31)
    np.testing.assert_allclose(neighbour_scores(train, train[:1]).scores, [29 / 30])


def test_few_training_pairs_are_all_neighbours():
    train = pair_table(["ACD", "EFG"], ["MKV", "MKV"], [1.0, 0.0])
    np.testing.assert_allclose(
        neighbour_scores(train, pair_table(["ACD", "Y"], ["W", "MKV"], [0, 0])).scores, [0.5, 0.5]
    )


def test_neighbours_of_too_many_pairs_are_thinned_repeatably():
    train, held_out = families()
    full = neighbour_scores(train, held_out)
    thinned = [neighbour_scores(train, held_out, max_cells=300 * 400) for _ in range(2)]
    np.testing.assert_array_equal(*(found.scores for found in thinned))
    assert (thinned[0].scores != full.scores).any()
    assert roc_auc_score(held_out["positive"], thinned[0].scores) > 0.8
    assert [found.plain() for found in (full, thinned[0])] == [
        {"num_pairs": number, "num_train": 1200} for number in (1200, 400)
    ]


def test_each_control_has_a_meaning_and_is_made_somewhere():
    assert set(MEANING) == {*DATA_CONTROLS, *MODEL_CONTROLS}
    assert chosen_controls(None) == list(MEANING)
    assert chosen_controls([]) == []
    assert chosen_controls(["noise", "boosting"]) == ["boosting", "noise"]


def test_data_controls_learn_from_train_alone_and_score_the_rest():
    train, held_out = families()
    pairs = pd.concat([held_out[:20].assign(split="val"), train[:120], held_out[20:60].assign(split="test")])
    scores = data_controls(pairs, MEANING)
    assert list(scores) == list(DATA_CONTROLS)
    assert all(learned.scores.shape == (60,) for learned in scores.values())
    assert all(learned.plain() == {"num_pairs": 120, "num_train": 120} for learned in scores.values())
    hidden = pairs.assign(label=pairs["label"].where(pairs["split"] == "train", 7.0), positive=pairs["positive"])
    hidden.loc[hidden["split"] != "train", "positive"] = True
    for name, learned in data_controls(hidden, MEANING).items():
        np.testing.assert_array_equal(learned.scores, scores[name].scores, err_msg=name)
    assert list(data_controls(pairs, ["degree", "noise"])) == ["degree"]
