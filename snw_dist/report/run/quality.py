"""How good the network is: beside its controls, as curves, by receptor, and where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from snw_dist.evaluate.measure.measured import numbered
from snw_dist.metrics.bootstrap import plan_draws
from snw_dist.report.page import Block, Says, Section
from snw_dist.report.run.curves import REPEATS, Held, pr_figure, roc_figure
from snw_dist.report.run.errors import confusion_table, worst_table
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.receptors import receptors_figure, receptors_of, receptors_table
from snw_dist.report.run.rivals import controls_figure, controls_table, metrics_table, strata_figure
from snw_dist.report.run.scores import distribution_figure, reliability_figure
from snw_dist.report.run.words import tested_splits, with_interval


def quality_section(run: RunFiles) -> Section:
    """The section about how good the network is."""
    return Section("quality", "Quality", list(_blocks(run)))


def _blocks(run: RunFiles) -> Iterator[Block]:
    metrics, splits = run.metrics, tested_splits(run.metrics)
    for comparison in metrics["comparison"].values():
        split, _, rest = comparison["sentence"].partition(": ")
        yield Says(f"**{split}**: {rest}")
    if metrics["controls"]:
        yield controls_figure(metrics, splits)
        yield controls_table(metrics, splits)
    yield metrics_table(metrics, list(metrics["splits"]))
    held = _held(run, splits)
    if held:
        yield roc_figure(held)
        yield pr_figure(held)
    yield distribution_figure(run, splits)
    yield reliability_figure(run, splits)
    yield strata_figure(metrics, splits)
    yield from _receptors(run, splits)
    threshold = metrics["model"]["threshold"]
    if threshold is not None:
        yield confusion_table(run.predictions, list(metrics["splits"]), threshold)
    yield worst_table(run.predictions, splits, run.prepared.ligands, run.prepared.receptors)


def _receptors(run: RunFiles, splits: list[str]) -> Iterator[Block]:
    if run.prepared.symmetric:
        yield Says("The two sides of these pairs mean nothing (data.symmetric), so no figures are given by receptor.")
        return
    tested = run.predictions[run.predictions["split"].isin(splits)]
    receptors = receptors_of(tested, run.metrics["model"]["threshold"], run.metrics["bootstrap"]["seed"])
    figure = receptors_figure(receptors)
    if figure.panels:
        yield figure
    yield receptors_table(receptors)


def _held(run: RunFiles, splits: list[str]) -> list[Held]:
    found = []
    for colour, split in enumerate(splits):
        rows = run.predictions[run.predictions["split"] == split]
        positive = rows["positive"].to_numpy(dtype=np.bool_)
        if positive.any() and not positive.all():
            figures = run.metrics["model"]["splits"][split]["metrics"]
            receptor, other_end = numbered(_with_sequences(run, rows), run.prepared.symmetric)
            draws = plan_draws(receptor, REPEATS, run.metrics["bootstrap"]["seed"], other_end)
            said = with_interval(figures["auroc"]), with_interval(figures["auprc"])
            found.append(Held(split, positive, rows["score"].to_numpy(dtype=np.float64), draws, *said, colour))
    return found


def _with_sequences(run: RunFiles, rows: pd.DataFrame) -> pd.DataFrame:
    """By sequence, as the intervals of metrics are; by id where the data folder no longer has it."""
    sides = {"ligand": run.prepared.ligands, "receptor": run.prepared.receptors}
    known = {side: rows[f"{side}_id"].map(ids).fillna(rows[f"{side}_id"]) for side, ids in sides.items()}
    return rows.assign(**known)
