"""Do binders rank high among natural peptides? Percentiles of the held-out pairs of a run, by the bundle of that run.

    python -m tests.bench.percentiles --run runs/demo --bundle runs/demo/bundle

Shares of binders and of non-binders below 2 % and below 0.5 %, beside two controls: the same ligands with the receptor
of another pair of their split, and boosting on the ligand alone, whose background are the same peptides. By chance it
is 2 % and 0.5 % of everything. `seconds` is the time for the backgrounds alone; 0 backgrounds where an earlier run has
kept them.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from snw_dist import PairScorer
from snw_dist.arrays import FloatArray
from snw_dist.data.prepared import load_prepared
from snw_dist.evaluate.controls.boosting import one_hot_scores
from snw_dist.scoring.percentile import Percentiles, Wanted, percentile, percentiles_of
from tests.bench.common import finish, parser, say, show

LIMITS = (2.0, 0.5)


def held_out_and_train(run: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pairs with their sequences."""
    prepared = load_prepared(run / "data")
    ligand, receptor = prepared.pairs["ligand_id"], prepared.pairs["receptor_id"]
    pairs = prepared.pairs.assign(ligand=ligand.map(prepared.ligands), receptor=receptor.map(prepared.receptors))
    return pairs[~pairs["split"].isin(["train", "val"])].reset_index(drop=True), pairs[pairs["split"] == "train"]


def with_others(pairs: pd.DataFrame) -> list[str]:
    """For each pair the receptor of another pair of its split, which is another receptor."""
    generator, found = np.random.default_rng(1), pairs["receptor"].copy()
    for _, rows in pairs.groupby("split").groups.items():
        own = pairs.loc[rows, "receptor"].to_numpy()
        drawn = generator.choice(own, len(own))
        while (same := drawn == own).any():
            drawn[same] = generator.choice(own, int(same.sum()))
        found.loc[rows] = drawn
    return [str(one) for one in found]


def by_network(scorer: PairScorer, percentiles: Percentiles, ligands: list[str], receptors: list[str]) -> FloatArray:
    """Percentiles of pairs."""
    return percentiles.of(ligands, receptors, scorer.score_clean(ligands, receptors).score)


def by_ligand_alone(percentiles: Percentiles, train: pd.DataFrame, ligands: list[str]) -> FloatArray:
    """Percentiles of ligands by boosting that has seen no receptor."""
    peptides = {length: percentiles.background.peptides(length) for length in sorted(set(map(len, ligands)))}
    everything = pd.DataFrame({"ligand": [*ligands, *(one for group in peptides.values() for one in group)]})
    scores = one_hot_scores(train, everything, ("ligand",)).scores
    found, first = np.empty(len(ligands)), len(ligands)
    lengths = np.array([len(one) for one in ligands])
    for length, group in peptides.items():
        background = np.sort(scores[first : first + len(group)])
        found[lengths == length] = percentile(scores[: len(ligands)][lengths == length], background)
        first += len(group)
    return found


def shares(found: FloatArray, binds: FloatArray) -> list[float]:
    """In percent: binders below each of `LIMITS`, then non-binders."""
    return [100 * float(np.mean(found[binds == kind] < limit)) for kind in (1, 0) for limit in LIMITS]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--run", type=Path, required=True)
    options.add_argument("--bundle", type=Path, required=True)
    chosen = options.parse_args()
    pairs, train = held_out_and_train(chosen.run)
    scorer = PairScorer.load(chosen.bundle)
    percentiles = percentiles_of(scorer, True)
    assert percentiles is not None
    ligands, receptors, others = pairs["ligand"].tolist(), pairs["receptor"].tolist(), with_others(pairs)
    wanted = Wanted.of(ligands * 2, receptors + others)
    needed, started = percentiles.needed(wanted.groups), time.perf_counter()
    percentiles.prepare(wanted.groups, lambda count: say(f"{count:,} of {needed.pairs:,} pairs of the background"))
    keys: dict[str, Any] = {"backgrounds": needed.backgrounds, "seconds": round(time.perf_counter() - started, 1)}
    found = {
        "the network": by_network(scorer, percentiles, ligands, receptors),
        "the network, another receptor": by_network(scorer, percentiles, ligands, others),
        "boosting on the ligand alone": by_ligand_alone(percentiles, train, ligands),
    }
    rows = []
    for split, of_split in pairs.groupby("split").groups.items():
        binds = pairs.loc[of_split, "positive"].to_numpy()
        for name, values in found.items():
            figures = shares(values[of_split], binds)
            keys[f"{split}, {name}"] = [round(one, 1) for one in figures]
            rows.append([str(split), f"{int(binds.sum())} of {len(binds)}", name, *(f"{one:.1f} %" for one in figures)])
    heads = [f"{kind} below {limit:g} %" for kind in ("binders", "others") for limit in LIMITS]
    if not chosen.json:
        show("Percentiles", ["split", "binders", "scores of", *heads], rows)
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
