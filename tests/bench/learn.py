"""Do the networks learn? Each overfits 64 pairs, and finds a planted signal in unseen sequences.

    python -m tests.bench.learn --json

Planted: each ligand holds one of four motifs, each receptor too, at a random place; a pair binds if its two motifs
belong together. Each motif is in as many binding pairs as others, so that one side alone says nothing. No sequence of
`test` is in `train`. `controls_best` is the best of gradient boosting on both sequences and on either alone. Encoder:
the small ESM C with random weights. AUROC throughout; training is a plain loop on the project's plan, batches, losses
and scores.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import nn

from snw_dist.config import ModelName, ModelSection, TrainSection
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.evaluate.controls.boosting import one_hot_scores
from snw_dist.model.build import build_model
from snw_dist.model.legal_losses import loss_of
from snw_dist.predict.batches import IndexedPairs, make_batch
from snw_dist.predict.score import score_pairs
from snw_dist.predict.stored_pairs import indexed_pairs
from snw_dist.train.objective import Objective
from snw_dist.train.plan import TrainPlan, learning_rate

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "tests" / "data" / "mhc_binding"
CPU = torch.device("cpu")
LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
NUM_MOTIFS, MOTIF = 4, 5
SIZES = {"train": (800, 400, 8000), "val": (100, 48, 500), "test": (200, 100, 1000)}
"""Ligands, receptors and pairs of each split."""
SMALL: dict[str, Any] = {"d_model": 48, "num_pooling_queries": 16}


def planted_set(folder: Path, seed: int = 0) -> None:
    """Write `ligands.fasta`, `receptors.fasta` and `pairs.csv`."""
    draw = np.random.default_rng(seed)
    motifs = {side: ["".join(draw.choice(LETTERS, MOTIF)) for _ in range(NUM_MOTIFS)] for side in "LR"}

    def sequence(side: str, motif: int) -> str:
        length = int(draw.integers(8, 13) if side == "L" else draw.integers(16, 31))
        place, text = int(draw.integers(0, length - MOTIF + 1)), "".join(draw.choice(LETTERS, length))
        return text[:place] + motifs[side][motif] + text[place + MOTIF :]

    fasta: dict[str, list[str]] = {"L": [], "R": []}
    rows = ["ligand_id,receptor_id,label,split"]
    for split, (num_ligands, num_receptors, num_pairs) in SIZES.items():
        for side, number in (("L", num_ligands), ("R", num_receptors)):
            fasta[side] += [f">{split}{side}{i}\n{sequence(side, i % NUM_MOTIFS)}\n" for i in range(number)]
        pairs: dict[tuple[int, int], int] = {}
        while len(pairs) < num_pairs:
            ligand, binds = int(draw.integers(num_ligands)), len(pairs) % 2
            motif = (ligand + (0 if binds else int(draw.integers(1, NUM_MOTIFS)))) % NUM_MOTIFS
            receptor = motif + NUM_MOTIFS * int(draw.integers(num_receptors // NUM_MOTIFS))
            pairs[ligand, receptor] = binds
        rows += [f"{split}L{ligand},{split}R{receptor},{binds},{split}" for (ligand, receptor), binds in pairs.items()]
    (folder / "ligands.fasta").write_text("".join(fasta["L"]))
    (folder / "receptors.fasta").write_text("".join(fasta["R"]))
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")


def embedded(folder: Path, data: dict[str, Any]) -> None:
    """Prepare and embed with the commands that a user would type."""
    config = {"run": {"name": "learn"}, "data": data, "cluster": {"cluster": "local"}}
    (folder / "SNW_config.json").write_text(json.dumps(config))
    for command in ("prepare", "embed"):
        subprocess.run(
            [sys.executable, ROOT / "launch" / f"{command}.py"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )


def few_pairs(table: IndexedPairs) -> NDArray[np.int64]:
    """Eight receptors with four binders and four others each."""
    chosen: list[NDArray[np.int64]] = []
    for receptor in np.unique(table.receptor):
        both = [np.flatnonzero((table.receptor == receptor) & (table.positive == binds))[:4] for binds in (True, False)]
        if min(map(len, both)) == 4:
            chosen += both
    return np.concatenate(chosen[:16])


def trained(section: ModelSection, table: IndexedPairs, reader: StoreReader, epochs: int, batch_size: int) -> nn.Module:
    """A network after a plain training loop, with the defaults of the configuration but for the learning rate."""
    settings = TrainSection()
    plan = TrainPlan(table.receptor, batch_size, epochs, None, 1, settings.pairs_per_receptor)
    model = build_model(section, reader.header.row_width, seed=1).train()
    objective = Objective(
        loss_of(section.name, "auto"), section.margin, settings.temperature, settings.triplet_margin, settings.mining
    )
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=settings.weight_decay)
    for step in range(plan.num_steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, plan.num_steps, 2e-3, 100, settings.min_learning_rate_ratio)
        batch = make_batch(table, plan.pairs_of_step(step), reader, section.max_length, CPU)
        optimizer.zero_grad()
        objective.losses(model(batch.ligand, batch.receptor), batch.target).mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.gradient_clipping)
        optimizer.step()
    return model.eval()


def opened(folder: Path) -> tuple[Prepared, StoreReader]:
    """What the commands have left."""
    run = folder / "runs" / "learn"
    return load_prepared(run / "data"), StoreReader(run / "store.zarr")


def auroc(kind: str, name: ModelName, folder: Path) -> float:
    """Of one network: on the 64 pairs it has seen (`overfit`), or on the unseen sequences of `planted`."""
    torch.set_num_threads(1)
    prepared, reader = opened(folder)
    table = indexed_pairs(prepared, reader, "train")
    if kind == "overfit":
        table = table.take(few_pairs(table))
        model = trained(ModelSection(name=name, dropout=0.0, **SMALL), table, reader, epochs=300, batch_size=64)
    else:
        model = trained(ModelSection(name=name, **SMALL), table, reader, epochs=40, batch_size=128)
        table = indexed_pairs(prepared, reader, "test")
    return float(roc_auc_score(table.positive, score_pairs(model, table, reader, 2048, 512, CPU)))


def best_control(folder: Path) -> float:
    """AUROC of the best control on `test` of the planted set."""
    prepared = load_prepared(folder / "runs" / "learn" / "data")
    pairs = prepared.pairs.assign(
        ligand=prepared.pairs["ligand_id"].map(prepared.ligands),
        receptor=prepared.pairs["receptor_id"].map(prepared.receptors),
    )
    train, test = (pairs[pairs["split"] == split] for split in ("train", "test"))
    scores = [one_hot_scores(train, test, sides).scores for sides in (["ligand", "receptor"], ["ligand"], ["receptor"])]
    return max(float(roc_auc_score(test["positive"], of_control)) for of_control in scores)


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    as_json = parser.parse_args().json
    with tempfile.TemporaryDirectory(prefix="snw-learn-") as temporary:
        folders = {kind: Path(temporary) / kind for kind in ("overfit", "planted")}
        for folder in folders.values():
            folder.mkdir()
        planted_set(folders["planted"])
        embedded(folders["planted"], {})
        shipped = {key: str(SHIPPED / f"{key}.fasta") for key in ("ligands", "receptors")}
        embedded(folders["overfit"], {**shipped, "pairs": str(SHIPPED / "pairs.csv"), "columns": {"binary": "binds"}})
        with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
            waiting = {
                name: {kind: pool.submit(auroc, kind, name, folders[kind]) for kind in folders}
                for name in get_args(ModelName)
            }
            control = pool.submit(best_control, folders["planted"])
            found = {name: {kind: future.result() for kind, future in row.items()} for name, row in waiting.items()}
        report = {**found, "controls_best": control.result()}
    if as_json:
        print(json.dumps(report))
        return
    for name, row in found.items():
        print(f"{name:16} overfit {row['overfit']:.3f}   planted {row['planted']:.3f}")
    print(f"{'best control':16}                 planted {report['controls_best']:.3f}")


if __name__ == "__main__":
    main()
