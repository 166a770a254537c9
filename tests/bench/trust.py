"""How far the columns of a bundle can be trusted, on the shipped data that its networks were trained on.

    python -m tests.bench.trust --bundle runs/demo/bundle

For each held-out split:

- calibration error of `snw_probability`, with its 95 % interval (receptors are drawn);
- how often the interval holds: pairs are put in groups of about 50 by their probability; the share of the groups whose
  share of positives is between the mean low and the mean high end. Beside it what that would be if every probability
  were exactly right: labels are drawn by the probabilities, 200 times;
- how many pairs have a reason in `snw_abstain`, and how many calls are wrong among these and among the others (called
  positive from the threshold of the bundle on);
- AUROC of being wrong: the chance that a wrong call has a higher value than a right one, of `snw_abstain` (empty or
  not), of what is behind it, and of others.

Limits, threshold, calibration and interval come from `val` alone, so figures of `val` itself are flattered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hpc.errors import InputError
from snw_dist import PairScorer
from snw_dist.arrays import BoolArray, FloatArray
from snw_dist.data.files.fasta import read_fasta
from snw_dist.metrics.bootstrap import gap_interval, plan_draws, repeat_metrics
from snw_dist.metrics.metrics import Sample, classification_metrics, measure
from snw_dist.scoring.abstain import LIGAND, MEMBERS, RECEPTOR
from tests.bench.common import finish, parser, show
from tests.kit.shipped import DATA

SPLITS = ("val", "test", "test_unseen_receptor")
TESTS = SPLITS[1:]
GROUP, DRAWS, REPEATS = 50, 200, 1000


def held_out(scorer: PairScorer) -> pd.DataFrame:
    """The held-out pairs with all columns of ours; raises `InputError` where the bundle was trained on other data."""
    pairs = pd.read_csv(DATA / "pairs.csv")
    for side in ("ligand", "receptor"):
        sequences = {record.id: record.sequence for record in read_fasta(DATA / f"{side}s.fasta")}
        pairs[side] = pairs[f"{side}_id"].map(sequences)
    train = pairs[pairs["split"] == "train"]
    trained = scorer.bundle.read_json("trained_on.json")
    if set(trained["ligands"]) != set(train["ligand"]) or set(trained["receptors"]) != set(train["receptor"]):
        raise InputError(f"{scorer.bundle.folder}: not trained on the training pairs of {DATA}.")
    table = scorer.score_table(pairs[pairs["split"] != "train"].reset_index(drop=True), members=True)
    each = [member.calibration(table[f"snw_score_{member.name}"]) for member in scorer.members]
    return table.assign(apart=np.ptp(each, axis=0))


def figures(table: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """All figures of the pairs of one split."""
    positive, score = table["binds"].to_numpy(dtype=np.bool_), table["snw_score"].to_numpy()
    probability = table["snw_probability"].to_numpy()
    receptor = pd.factorize(table["receptor"])[0].astype(np.int64)
    sample = Sample(positive, positive.astype(np.float64), score, probability, receptor, threshold)
    error, repeats = measure(sample)["ece"], repeat_metrics(sample, plan_draws(receptor, REPEATS, 1))["ece"]
    wrong, abstains = positive != (score >= threshold), (table["snw_abstain"] != "").to_numpy()
    behind = {
        "abstain": abstains.astype(np.float64),
        "1 - identity of ligand": 1 - table["snw_nearest_ligand_identity"].to_numpy(),
        "1 - identity of receptor": 1 - table["snw_nearest_receptor_identity"].to_numpy(),
        "width of the interval": (table["snw_probability_high"] - table["snw_probability_low"]).to_numpy(),
        "nearness of the probability to 1/2": -np.abs(probability - 0.5),
        "distance of members": table["apart"].to_numpy(),
    }
    return {
        "pairs": len(table),
        "calibration error": [error, *gap_interval(error, repeats)],
        "interval holds": _holds(table, positive),
        "interval holds if exact": _holds_if_exact(table),
        "abstains": float(abstains.mean()),
        "wrong where it abstains": float(wrong[abstains].mean()) if abstains.any() else None,
        "wrong elsewhere": float(wrong[~abstains].mean()) if not abstains.all() else None,
        "AUROC of being wrong": {name: _auroc(wrong, values) for name, values in behind.items()},
        "rows, and wrong calls, by reason": {
            reason: f"{said.sum():,}, {wrong[said].mean():.3f}"
            for reason in (LIGAND, RECEPTOR, MEMBERS)
            if (said := table["snw_abstain"].str.contains(reason).to_numpy()).any()
        },
    }


def _auroc(wrong: BoolArray, values: FloatArray) -> float:
    return classification_metrics(wrong, values, np.nan)["auroc"]


def _holds(table: pd.DataFrame, positive: BoolArray) -> float:
    ends = table[["snw_probability", "snw_probability_low", "snw_probability_high"]].to_numpy()
    order = np.argsort(ends[:, 0], kind="stable")
    held = []
    for rows in np.array_split(order, max(1, len(order) // GROUP)):
        _, low, high = ends[rows].mean(axis=0)
        held.append(low <= positive[rows].mean() <= high)
    return float(np.mean(held))


def _holds_if_exact(table: pd.DataFrame) -> float:
    rng, probability = np.random.default_rng(1), table["snw_probability"].to_numpy()
    return float(np.mean([_holds(table, rng.random(len(table)) < probability) for _ in range(DRAWS)]))


def main() -> None:
    """Score, measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--bundle", type=Path, required=True)
    chosen = options.parse_args()
    scorer = PairScorer.load(chosen.bundle, device="cpu")
    assert scorer.threshold is not None
    table = held_out(scorer)
    parts = {split: table[table["split"] == split] for split in SPLITS}
    parts["both tests"] = table[table["split"].isin(TESTS)]
    found = {name: figures(part, scorer.threshold) for name, part in parts.items()}
    if not chosen.json:
        rows = [[name, *(_text(found[split][name]) for split in parts)] for name in found["val"]]
        show(f"{chosen.bundle}: {', '.join(scorer.bundle.says.members)}", ["", *parts], rows)
    finish(chosen.json, found)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{name}: {_text(one)}" for name, one in value.items())
    if isinstance(value, list):
        return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


if __name__ == "__main__":
    main()
