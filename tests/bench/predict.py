"""`predict` beside `evaluate` on the same pairs, all sequences embedded: `python -m tests.bench.predict BUNDLE STORE`.

The pairs are drawn from the training sequences of a bundle, whose rows are in the store of its run (a CPU, one member
with a frozen encoder). For `evaluate` they are a table of numbers; it scores them and writes its two tables. `predict`
gets a CSV of sequences: it counts, reads, scores and keeps the pieces, and writes a CSV. Loading is left out of both.
`--steps` also shows where the time of `predict` goes. Others may use the machine: look at the ratios, of turns in one
round, and at seconds of the processor.
"""

from __future__ import annotations

import argparse
import csv
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from snw_dist import PairScorer
from snw_dist.bundle.format import TRAINED_ON
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.evaluate.predictions import write_predictions
from snw_dist.predict.batches import IndexedPairs
from snw_dist.predict.score import score_pairs
from snw_dist.scoring.columns import columns_of
from snw_dist.scoring.table.asked import Asked, predict
from snw_dist.scoring.table.commit import Pieces
from snw_dist.scoring.table.piece import scored_chunk
from snw_dist.scoring.table.sides import Side
from snw_dist.scoring.table.survey import counted
from snw_dist.scoring.table.text import text_source
from tests.bench.common import finish, medians, parser, say, show

CPU = torch.device("cpu")


class Pairs(NamedTuple):
    """The same pairs for both."""

    table: Path
    """CSV: number, ligand, receptor."""
    ligands: list[str]
    receptors: list[str]


def drawn(scorer: PairScorer, store: StoreReader, count: int, folder: Path) -> Pairs:
    """Random pairs of sequences that the store holds."""
    sides = scorer.bundle.read_json(TRAINED_ON)
    rng = np.random.default_rng(0)
    ligands, receptors = (
        rng.choice([one for one in sides[key] if one in store], count).tolist() for key in ("ligands", "receptors")
    )
    path = folder / "pairs.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("n", "ligand", "receptor"), *zip(range(count), ligands, receptors, strict=True)])
    return Pairs(path, ligands, receptors)


def evaluated(pairs: Pairs, scorer: PairScorer, store: StoreReader, folder: Path) -> tuple[float, float]:
    """Seconds of the scores alone, and with what is before and after them in `evaluate`."""
    started = time.perf_counter()
    [member] = scorer.members
    ligand, receptor = (
        np.array([store.index(one) for one in side], np.int64) for side in (pairs.ligands, pairs.receptors)
    )
    nothing = np.zeros(len(ligand))
    table = IndexedPairs(ligand, receptor, nothing.astype(np.float32), nothing.astype(bool), nothing + 1)
    before = time.perf_counter()
    scores = score_pairs(member.network, table, store, member.max_length, 512, CPU)
    alone = time.perf_counter() - before
    frame = pd.DataFrame({"ligand_id": pairs.ligands, "receptor_id": pairs.receptors, "score": scores})
    frame = frame.assign(label=0.0, positive=False, split="test", stratum="", probability=member.calibration(scores))
    write_predictions(folder, "predictions", frame)
    return alone, time.perf_counter() - started


def predicted(pairs: Pairs, scorer: PairScorer, folder: Path) -> float:
    """Seconds of all that the command does with a table."""
    started = time.perf_counter()
    predict(scorer, Asked(str(pairs.table), to=str(folder / "scored.csv")), io.BytesIO(), io.BytesIO())
    return time.perf_counter() - started


def keep(pieces: Pieces, tables: list[pa.Table]) -> None:
    """Put all pieces beside an output."""
    for number, table in enumerate(tables):
        pieces.commit(number, table)


def steps(pairs: Pairs, scorer: PairScorer, folder: Path) -> dict[str, float]:
    """Seconds of each step of `predict`."""
    sides = Side("ligand", scorer.rules), Side("receptor", scorer.rules)
    source, _ = text_source(pairs.table, ",", sides, False)
    columns, pieces = columns_of(scorer.bundle, False, scorer.trust), Pieces(folder)
    found, scored = {}, list[pa.Table]()

    def timed(name: str, work: Callable[[], object]) -> None:
        started = time.perf_counter()
        work()
        found[name] = time.perf_counter() - started

    timed("count", lambda: counted((chunk.pairs for chunk in source.chunks()), scorer.stored))
    timed("read", lambda: [*source.chunks()])
    chunks = [*source.chunks()]
    timed("score", lambda: scored.extend(scored_chunk(chunk, scorer, columns, None) for chunk in chunks))
    timed("keep", lambda: keep(pieces, scored))
    return found


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("bundle", help="of one member")
    options.add_argument("store", type=Path, help="the store of its run")
    options.add_argument("--pairs", type=int, default=100_000)
    options.add_argument("--steps", action="store_true", help="also where the time of predict goes")
    arguments: argparse.Namespace = options.parse_args()
    scorer = PairScorer.load(arguments.bundle, device="cpu", cache=arguments.store, memory_bytes=2**29)
    store = StoreReader(arguments.store)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = drawn(scorer, store, arguments.pairs, folder)
        predicted(pairs, scorer, folder)  # everything has been read once, and rows are kept
        alone: list[float] = []
        processor: dict[str, list[float]] = {"evaluate": [], "predict": []}

        def evaluate() -> float:
            before = time.process_time()
            scoring, whole = evaluated(pairs, scorer, store, folder)
            processor["evaluate"].append(time.process_time() - before)
            alone.append(scoring)
            return whole

        def whole() -> float:
            before = time.process_time()
            seconds = predicted(pairs, scorer, folder)
            processor["predict"].append(time.process_time() - before)
            return seconds

        found = medians(arguments.rounds, {"evaluate": evaluate, "predict": whole})
        say("steps")
        parts = steps(pairs, scorer, folder) if arguments.steps else {}
    keys = {
        "pairs": arguments.pairs,
        "evaluate_s": found["evaluate"],
        "of_this_scoring_s": float(np.median(alone)),
        "predict_s": found["predict"],
        "ratio": found["evaluate"] / found["predict"],
        "ratio_to_scoring_alone": float(np.median(alone)) / found["predict"],
        "ratio_of_processor_seconds": float(np.median(processor["evaluate"]) / np.median(processor["predict"])),
        **{f"{name}_s": value for name, value in parts.items()},
    }
    if not arguments.json:
        show("predict beside evaluate", ["figure", "value"], [[key, f"{value:,.3f}"] for key, value in keys.items()])
    finish(arguments.json, keys)


if __name__ == "__main__":
    main()
