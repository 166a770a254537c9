import math

import numpy as np
import pytest

from snw_dist.evaluate.measure.measured import describe, measure_scores, parts_of
from snw_dist.evaluate.measure.verdict import best_on_validation, compare, judge, judge_networks, turned_round
from snw_dist.metrics.metrics import METRICS, Sample, choose_threshold, measure, probability_metrics
from tests.kit.evaluate_tools import good_scores, held_out_pairs


def measured(pairs, scores, repeats=100, seed=1):
    return measure_scores(pairs, parts_of(pairs, repeats, seed), np.asarray(scores, dtype=np.float64), seed)


def test_every_split_and_stratum_is_measured_for_itself():
    pairs = held_out_pairs()
    scores = good_scores(pairs)
    found = measured(pairs, scores)
    val = pairs["split"] == "val"
    assert found.threshold == choose_threshold(pairs["positive"][val], scores[val])
    assert list(found.splits) == ["val", "test", "mixed"]
    assert list(found.splits["mixed"]["strata"]) == ["one seen", "none seen"]
    for split, strata in (("val", ["one seen"]), ("test", ["one seen"]), ("mixed", ["one seen", "none seen"])):
        for stratum in (None, *strata):
            chosen = pairs["split"] == split
            entry = found.splits[split]
            if stratum:
                chosen &= pairs["stratum"] == stratum
                entry = entry["strata"][stratum]
            part = pairs[chosen]
            receptor = np.unique(part["receptor"], return_inverse=True)[1]
            arrays = (part["positive"].to_numpy(), part["label"].to_numpy(), scores[chosen], found.probability[chosen])
            expected = measure(Sample(*arrays, receptor, found.threshold))
            assert {name: entry["metrics"][name]["value"] for name in METRICS} == expected
            for name in ("auroc", "auprc", "brier", "spearman", "pearson"):
                assert entry["metrics"][name]["low"] < expected[name] < entry["metrics"][name]["high"]
            assert entry["uncalibrated"] == probability_metrics(part["positive"], scores[chosen])
    whole = {key: value for key, value in found.splits["test"].items() if key != "strata"}
    assert found.splits["test"]["strata"] == {"one seen": whole}


def test_pairs_are_counted_and_receptors_told_apart_by_sequence():
    pairs = held_out_pairs()
    pairs["receptor_id"] = [f"alias {i}" for i in range(len(pairs))]
    found = describe(pairs, parts_of(pairs, 20, 1))
    for split, entry in found.items():
        part = pairs[pairs["split"] == split]
        assert (entry["num_pairs"], entry["num_positive"]) == (len(part), part["positive"].sum())
        assert entry["num_receptors"] == 7
        assert entry["bootstrap"] == {"unit": "receptor", "num_units": 7, "repeats_of_one_class": 0}
    sizes = {name: stratum["num_pairs"] for name, stratum in found["mixed"]["strata"].items()}
    assert sizes == dict(pairs.loc[pairs["split"] == "mixed", "stratum"].value_counts())


def test_held_out_splits_move_neither_threshold_nor_calibration():
    pairs = held_out_pairs()
    first = measured(pairs, good_scores(pairs), repeats=0)
    held_out = pairs["split"] != "val"
    pairs.loc[held_out, "positive"] = ~pairs.loc[held_out, "positive"]
    second = measured(pairs, good_scores(pairs), repeats=0)
    assert (first.threshold, first.calibration) == (second.threshold, second.calibration)
    assert first.splits["val"] == second.splits["val"]
    assert first.splits["test"] != second.splits["test"]


def test_scores_on_another_scale_are_measured_at_their_own_threshold():
    pairs = held_out_pairs()
    scores = good_scores(pairs)
    plain, scaled = measured(pairs, scores, repeats=0), measured(pairs, scores * 100 - 7, repeats=0)
    assert scaled.threshold == pytest.approx(plain.threshold * 100 - 7)
    for name in ("auroc", "auprc", "mcc", "f1", "spearman", "pearson", "bedroc"):
        values = [m.splits["test"]["metrics"][name]["value"] for m in (plain, scaled)]
        assert values[0] == pytest.approx(values[1]), name


def test_the_difference_is_paired_and_to_the_best_control_of_the_split():
    pairs = held_out_pairs(num_pairs=2000)
    scores = good_scores(pairs, strength=0.5)
    slightly_worse = scores + 0.05 * np.random.default_rng(5).random(len(pairs))
    model, near, far = (measured(pairs, s, 300) for s in (scores, slightly_worse, good_scores(pairs, 9, 0.1)))
    found = compare(model, {"far": far, "near": near}, "test")
    auroc = {m: m_.splits["test"]["metrics"]["auroc"] for m, m_ in (("model", model), ("near", near))}
    assert found["best_control"] == "near"
    assert (found["model"], found["control"]) == (auroc["model"]["value"], auroc["near"]["value"])
    difference = found["difference"]
    assert difference["value"] == pytest.approx(found["model"] - found["control"])
    assert difference["low"] < difference["value"] < difference["high"]
    # The two sets of scores err together: their difference is known far better than either of them.
    assert difference["high"] - difference["low"] < 0.5 * (auroc["model"]["high"] - auroc["model"]["low"])


@pytest.mark.parametrize(
    ("strength", "rival", "verdict"),
    [(0.6, 0.2, "beats"), (0.2, 0.6, "is worse than"), (0.5, 0.5, "is not told apart from")],
)
def test_the_verdict_is_that_of_the_interval(strength, rival, verdict):
    pairs = held_out_pairs(num_pairs=1500)
    model, control = measured(pairs, good_scores(pairs, 1, strength)), measured(pairs, good_scores(pairs, 2, rival))
    found = compare(model, {"rival": control}, "test", "siamese")
    assert found["verdict"] == verdict
    low, high = found["difference"]["low"], found["difference"]["high"]
    assert found["sentence"] == (
        f"test: siamese {verdict} the best control (rival): AUROC {found['model']:.3f} against "
        f"{found['control']:.3f}, difference {found['difference']['value']:+.3f} [{low:+.3f}, {high:+.3f}]."
    )


def test_a_control_that_ranks_backwards_counts_as_turned_round():
    pairs = held_out_pairs(num_pairs=1500)
    model, weak = measured(pairs, good_scores(pairs, 1, 0.3)), measured(pairs, good_scores(pairs, 2, 0.1))
    forwards, backwards = (measured(pairs, sign * good_scores(pairs, 3, 0.9)) for sign in (1, -1))
    found, wanted = (compare(model, {"weak": weak, "degree": control}, "test") for control in (backwards, forwards))
    assert (found["best_control"], found["turned"], wanted["turned"]) == ("degree", True, False)
    assert found["control"] == pytest.approx(wanted["control"])
    assert found["difference"] == pytest.approx(wanted["difference"])
    assert found["verdict"] == wanted["verdict"] == "is worse than"
    assert "is worse than the best control (degree, turned round): AUROC" in found["sentence"]
    plain = {"weak": weak.plain(), "degree": backwards.plain()}
    said = "test: these controls rank backwards, non-binders first; AUROC: "
    assert turned_round(plain, "test") == f"{said}degree ({found['control']:.3f} if turned round)"
    assert turned_round({"degree": forwards.plain()}, "test") is None
    pairs["positive"] |= pairs["split"] == "test"
    model, control = measured(pairs, good_scores(pairs, 1, 0.3)), measured(pairs, -good_scores(pairs, 3, 0.9))
    found = compare(model, {"degree": control}, "test")
    assert (found["metric"], found["turned"], found["verdict"]) == ("spearman", True, "is worse than")


@pytest.mark.parametrize(
    ("facts", "given"),
    [((4, 2), False), ((19, 9), False), ((5000, 9), False), ((5000, 4991), False), ((20, 10), True), ((5000, 10), True),
     ((19, 0), False), ((19, 19), False), ((20, 20), True)],
)  # fmt: skip
def test_no_verdict_is_given_on_too_few_pairs(facts, given):
    pairs = held_out_pairs(num_pairs=1500)
    model, control = measured(pairs, good_scores(pairs, 1, 0.6)), measured(pairs, good_scores(pairs, 2, 0.2))
    found = judge(model, {"rival": control}, "test", {"num_pairs": facts[0], "num_positive": facts[1]}, "siamese")
    assert (found == compare(model, {"rival": control}, "test", "siamese")) == given
    if not given:
        assert found["verdict"] == "has too few pairs to be compared with"
        assert found["sentence"].startswith("test: no verdict on siamese: it has ")
        assert "needs at least" in found["sentence"]


def test_a_split_of_one_class_is_compared_by_rank_correlation():
    pairs = held_out_pairs(num_pairs=1500)
    pairs["positive"] |= pairs["split"] == "test"
    model, control = measured(pairs, good_scores(pairs, 1, 0.7)), measured(pairs, good_scores(pairs, 2, 0.1))
    found = compare(model, {"rival": control}, "test")
    assert (found["metric"], found["verdict"]) == ("spearman", "beats")
    assert "rank correlation" in found["sentence"]


def test_what_cannot_be_compared_says_so():
    pairs = held_out_pairs()
    model = measured(pairs, good_scores(pairs))
    assert compare(model, {}, "test")["verdict"] == "cannot be compared with"
    constant = measured(pairs.assign(label=0.5, positive=True), good_scores(pairs))
    found = compare(constant, {"rival": constant}, "test")
    assert "nothing is defined here" in found["sentence"]
    assert found["difference"] is None


def test_without_repeats_nothing_is_told_apart():
    pairs = held_out_pairs()
    model, control = measured(pairs, good_scores(pairs, 1, 0.9), 0), measured(pairs, good_scores(pairs, 2, 0.1), 0)
    found = compare(model, {"rival": control}, "test")
    assert found["verdict"] == "is not told apart from"
    assert math.isnan(found["difference"]["low"])
    assert found["sentence"].endswith(f"{found['difference']['value']:+.3f}.")


def test_networks_are_judged_beside_the_one_that_is_best_on_validation():
    pairs = held_out_pairs(num_pairs=2000)
    on_val, strong = pairs["split"] == "val", good_scores(pairs, 1, 0.6)
    other = np.where(on_val, good_scores(pairs, 3, 0.3), good_scores(pairs, 3, 0.9))  # poor on validation, best on test
    networks = {
        "other": measured(pairs, other, 300),
        "strong": measured(pairs, strong, 300),
        "same": measured(pairs, strong + 0.02 * np.random.default_rng(5).random(len(pairs)), 300),
        "weak": measured(pairs, good_scores(pairs, 2, 0.1), 300),
        "backwards": measured(pairs, -strong, 300),
    }
    best = best_on_validation(networks)
    assert (best.name, best.metric) in {("strong", "auroc"), ("same", "auroc")}
    assert best.value == max(network.splits["val"]["metrics"]["auroc"]["value"] for network in networks.values())
    rival = next(name for name in ("same", "strong") if name != best.name)
    found = judge_networks(networks, best, "test", {"num_pairs": 600, "num_positive": 300})
    verdicts = {name: verdict["verdict"] for name, verdict in found.items()}
    assert verdicts == {
        "other": "is better than",
        rival: "is not told apart from",
        "weak": "is worse than",
        "backwards": "is worse than",
    }
    repeats = networks["weak"].repeats["test"]["auroc"] - networks[best.name].repeats["test"]["auroc"]
    difference = found["weak"]["difference"]
    assert (difference["low"], difference["high"]) == pytest.approx(tuple(np.quantile(repeats, [0.025, 0.975])))
    assert found["weak"]["sentence"].startswith(f"test: weak is worse than {best.name}, the best network on val: AUROC")
    assert found[rival]["sentence"].endswith("]. The difference cannot be told from chance.")
    few = judge_networks(networks, best, "test", {"num_pairs": 600, "num_positive": 9})
    assert {verdict["verdict"] for verdict in few.values()} == {"has too few pairs to be compared with"}
    assert few["weak"]["sentence"].startswith("test: no verdict on weak: it has 9 positive")


def test_networks_without_intervals_or_figures_are_not_told_apart():
    pairs, facts = held_out_pairs(), {"num_pairs": 400, "num_positive": 200}
    networks = {
        name: measured(pairs, good_scores(pairs, 1, strength), 0) for name, strength in (("a", 0.9), ("b", 0.1))
    }
    best = best_on_validation(networks)
    found = judge_networks(networks, best, "test", facts)["b"]
    assert (best.name, found["verdict"]) == ("a", "is not told apart from")
    assert "cannot be told from chance" in found["sentence"]
    flat = measured(pairs.assign(label=0.5, positive=True), good_scores(pairs))
    assert best_on_validation({"a": flat, "b": flat}) is None
    found = judge_networks({"a": flat, "b": flat}, best, "test", facts)["b"]
    assert (found["verdict"], found["difference"]) == ("cannot be compared with", None)
