"""Evaluate the export of a run on every held-out split, beside the controls, and write the report.

`score_run` and `controls.data_controls` give scores, `measure.measure_scores` the figures of any of them, and
`comparison.compare` sets two beside each other: several runs on the same data need the data controls only once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from hpc.ranks.process_group import choose_device
from snw_dist.arrays import FloatArray
from snw_dist.config import ControlName, SnwConfig
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.embedding.row_reader import RowReader
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.evaluate.controls.controls import chosen_controls, data_controls
from snw_dist.evaluate.measurable import Measurable, measurable
from snw_dist.evaluate.measure.calibration import save_calibration
from snw_dist.evaluate.measure.held_out import TRAIN, VAL, pairs_of
from snw_dist.evaluate.model_scores import model_scores
from snw_dist.evaluate.report import evaluate_scores
from snw_dist.evaluate.training_cost import Trained, trained
from snw_dist.model.sides import check_sides
from snw_dist.predict.batches import IndexedPairs
from snw_dist.predict.export import check_same_encoder, check_still_there, read_export
from snw_dist.predict.stored_pairs import indexed_pairs
from snw_dist.predict.tokens import TokenReader


class Scored(NamedTuple):
    """The held-out pairs of a run, scored by its network."""

    scores: FloatArray
    """[held-out pairs], in the order of `data.prepared.pairs`."""
    spoilt: dict[ControlName, FloatArray]
    """[held-out pairs], for each control that is made with the network."""
    description: dict[str, Any]
    """Of the export."""
    data: Measurable
    made_of: dict[str, str]
    """Digests: of the weights that were loaded, of what decides the rows of the store, of the training pairs now."""
    trained: Trained


class Opened(NamedTuple):
    """What is scored and by what, once nothing speaks against it."""

    model: nn.Module
    description: dict[str, Any]
    """Of the export."""
    data: Measurable
    store: StoreReader
    reader: RowReader
    """What the network reads: the store, or the residues themselves where ESM C is in front of it."""
    table: IndexedPairs
    """All pairs of `data`."""


def check_evaluation(config: SnwConfig) -> None:
    """Raise here what `evaluate_run` would refuse: what is known before a job is submitted."""
    opened(config, load_prepared(config.data_folder))


def evaluate_run(config: SnwConfig, measured: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Score all pairs but those of `train`; writes `evaluation/` in the run folder and returns its metrics.

    Threshold and calibration come from `val` alone; the calibration is left in `export/`, beside the weights. Raises
    `InputError` when there is no export, store or prepared data, and where the data are not those that the network was
    trained on, see `measurable`; with `evaluate.allow_changes` they are measured without the pairs that it was trained
    on. Raises `EnvironmentProblem` when other weights have taken the place of those that were loaded: then nothing is
    written. `measured` is called with how many sets of scores, of how many, have their figures.
    """
    section, folder = config.evaluate, config.run_folder
    prepared = load_prepared(config.data_folder)
    controls = chosen_controls(section.controls)
    scores, spoilt, description, data, made_of, _ = score_run(config, prepared, controls)
    pairs = pairs_of(data.prepared, data.trained)
    learned = data_controls(pairs, controls, prepared.symmetric)
    metrics, model = evaluate_scores(
        pairs[pairs["split"] != TRAIN].reset_index(drop=True),
        scores,
        {name: control.scores for name, control in learned.items()} | spoilt,
        repeats=section.bootstrap,
        seed=config.run.seed,
        provenance={
            **description["provenance"],
            "run": config.run.name,
            "network": description["model"]["name"],
            "encoder": description["encoder"]["description"],
            "step": description["step"],
            **made_of,
            "data_files": prepared.summary["files"],
            **data.record(),
        },
        metrics_log=folder / "metrics.jsonl",
        folder=folder / "evaluation",
        symmetric=prepared.symmetric,
        learned_from={name: control.plain() for name, control in learned.items()},
        last_check=lambda: check_still_there(folder / "export", description["weights_sha256"]),
        measured=measured,
    )
    save_calibration(folder / "export", model.calibration, VAL, int((pairs["split"] == VAL).sum()), made_of)
    return metrics


def score_run(config: SnwConfig, prepared: Prepared, controls: Collection[ControlName]) -> Scored:
    """Score the held-out pairs by the exported network of a run, and with those of `controls` that are made with it.

    Raises as `measurable` does for data that are not those the network was trained on.
    """
    model, description, data, store, reader, table = opened(config, prepared)
    prepared = data.prepared
    if "tuned_encoder" in description:
        controls = [name for name in controls if name != "noise"]  # there are no rows to be replaced
    split = prepared.pairs["split"].to_numpy(dtype=str)
    held_out = np.flatnonzero(split != TRAIN)
    scores, spoilt = model_scores(
        model,
        table.take(held_out),
        split[held_out],
        reader,
        int(description["model"]["max_length"]),
        config.evaluate.batch_size,
        choose_device(config.train.device, 0),
        controls,
        config.run.seed,
    )
    made_of = {
        "weights_sha256": str(description["weights_sha256"]),
        "store_rows_sha256": store.header.rows_digest,
        "data_digest": data.data_digest,
    }
    cost = trained(model, description["provenance"], config.run_folder)
    return Scored(scores, spoilt, description, data, made_of, cost)


def opened(config: SnwConfig, prepared: Prepared) -> Opened:
    """The export of a run and its data; raises as `evaluate_run` where they are not there or do not fit together."""
    model, description = read_export(config.run_folder / "export")
    check_sides(description["model"]["name"], "auto", prepared.symmetric)
    data = measurable(prepared, description, config.run_folder, config.evaluate.allow_changes)
    store = StoreReader(config.store_path)
    check_same_encoder(description, store.header, config.store_path)
    reader = TokenReader(store, data.prepared) if "tuned_encoder" in description else store
    return Opened(model, description, data, store, reader, indexed_pairs(data.prepared, store))
