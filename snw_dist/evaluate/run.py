"""Evaluate the export of a run on every split, beside the baseline, and write the report."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpc.process_group import choose_device
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.reader import StoreReader
from snw_dist.evaluate.baseline import ALL_INPUTS, baseline_scores
from snw_dist.evaluate.report import evaluate_predictions
from snw_dist.train.export import check_same_encoder, read_export
from snw_dist.train.pairs import pair_table
from snw_dist.train.score import score_pairs


def evaluate_run(config: SnwConfig) -> dict[str, Any]:
    """Score all pairs but those of `train`; writes `evaluation/` in the run folder and returns its metrics.

    The threshold comes from `val` alone. Raises `InputError` when there is no export, store or prepared data.
    """
    model, description = read_export(config.run_folder / "export")
    prepared = load_prepared(config.data_folder)
    reader = StoreReader(config.store_path)
    check_same_encoder(description, reader.header, config.store_path)
    held_out = (prepared.pairs["split"] != "train").to_numpy()
    table = pair_table(prepared, reader).take(np.flatnonzero(held_out))
    device = choose_device(config.train.device, 0)
    max_length = int(description["model"]["max_length"])
    predictions = prepared.pairs[held_out].reset_index(drop=True)
    predictions["score"] = score_pairs(model, table, reader, max_length, config.evaluate.batch_size, device)
    baseline = None
    if config.evaluate.baseline:
        ligands = [prepared.ligands[name] for name in prepared.pairs["ligand_id"]]
        receptors = [prepared.receptors[name] for name in prepared.pairs["receptor_id"]]
        label = prepared.pairs["label"].to_numpy()
        baseline = {
            f"gradient boosting, {inputs}": baseline_scores(ligands, receptors, label, ~held_out, inputs)[held_out]
            for inputs in ALL_INPUTS
        }
    return evaluate_predictions(
        predictions,
        threshold_split="val",
        repeats=config.evaluate.bootstrap,
        seed=config.run.seed,
        provenance={
            **description["provenance"],
            "encoder": description["encoder"]["description"],
            "step": description["step"],
        },
        baseline=baseline,
        metrics_log=config.run_folder / "metrics.jsonl",
        folder=config.run_folder / "evaluation",
    )
