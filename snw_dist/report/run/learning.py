"""How the network learned: loss and AUROC over the steps, what drove them, its speed, and where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from snw_dist.arrays import FloatArray
from snw_dist.report.marks import GREY, Axis, Bars, Lines, Mark, Panel, Points, Rules
from snw_dist.report.page import Block, Cell, Column, Figure, Says, Section, Table
from snw_dist.report.run.files import RunFiles

_STEP = Axis("step", low=0)
_AGAIN: tuple[tuple[int, Literal["solid", "dash", "dot"]], ...] = ((3, "dot"), (6, "solid"), (4, "dot"), (3, "solid"))
"""Colour and style of why a run was started again, in the order in which that has happened."""
_WORTH_A_LOOK = 0.5
"""Per cent of the time; an empty panel says less than a sentence."""
_LARGEST = 1e100
"""A value beyond it is damage, and no axis can be drawn to it."""


def learning_section(run: RunFiles) -> Section:
    """The section about the training."""
    return Section("learning", "Learning", list(_blocks(run)))


def _blocks(run: RunFiles) -> Iterator[Block]:
    train, validation = records(run.log, "train"), records(run.log, "validation")
    if not train:
        yield Says("The run folder has no metrics.jsonl, so nothing can be said of how the network learned.", "warning")
        return
    if run.finished is not None:
        yield Says(f"Training ended at step {run.finished.step:,}: {run.finished.reason}.")
    rules = tuple(_rules(run, validation))
    yield _loss(train, validation, rules, len(run.starts) > 1)
    yield _auroc(validation, rules)
    yield _driving(train, rules)
    yield _speed(train, rules)
    if len(run.starts) > 1:
        yield _starts(run)
    yield from _changes(run.log)
    if run.embedding:
        yield _ranks(run)


def records(log: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Those of a kind by step; a step that a resumed run wrote again counts once, as last written."""
    found = {record["step"]: record for record in log if record.get("kind") == kind and "step" in record}
    return [found[step] for step in sorted(found)]


def series(found: list[dict[str, Any]], name: str) -> tuple[FloatArray, FloatArray]:
    """Steps and values, [records] each; NaN where a record has no such number."""
    values = [record.get(name) for record in found]
    numbers = [
        v if isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < _LARGEST else None for v in values
    ]
    steps = [record["step"] for record in found]
    return np.array(steps, dtype=np.float64), np.array(numbers, dtype=np.float64)


def smooth(values: FloatArray) -> FloatArray:
    """[points]: the mean of each with its neighbours, a twentieth of all points together."""
    half = values.size // 40
    if half == 0:
        return values
    known = ~np.isnan(values)
    kernel = np.ones(2 * half + 1)
    total = np.convolve(np.where(known, values, 0), kernel, mode="same")
    count = np.convolve(known.astype(np.float64), kernel, mode="same")
    mean: FloatArray = np.divide(total, count, out=np.full(values.size, np.nan), where=count > 0)
    return mean


def _rules(run: RunFiles, validation: list[dict[str, Any]]) -> Iterator[Mark]:
    """Upright: the step whose weights are used, and the starts after the first."""
    chosen = run.metrics["provenance"]["step"]
    yield Rules("weights that are used", (float(chosen),), colour=2, texts=(f"step {chosen:,}: its weights are used",))
    for number, kind in enumerate(dict.fromkeys(start.kind for start in run.starts[1:])):
        again = [start for start in run.starts[1:] if start.kind == kind]
        texts = tuple(f"step {start.step:,}: {start.why}" for start in again)
        at = tuple(float(start.step) for start in again)
        colour, style = _AGAIN[number % len(_AGAIN)]
        yield Rules(f"restart: {kind}", at, colour=colour, style=style, texts=texts)


def _both(train: list[dict[str, Any]], name: str, label: str) -> list[Mark]:
    steps, values = series(train, name)
    return [
        Lines(f"{label}, each step", steps, values, colour=5, faint=True),
        Lines(f"{label}, mean of neighbours", steps, smooth(values), colour=0),
    ]


def _loss(
    train: list[dict[str, Any]], validation: list[dict[str, Any]], rules: tuple[Mark, ...], again: bool
) -> Figure:
    of_val = Points("val", *series(validation, "loss"), colour=1, joined=True)
    return Figure(
        "learning_loss",
        "Loss",
        "The **loss** is what training makes small. Where that of val rises while that of train still falls, the "
        "network begins to learn train by heart; the weights that are used are from the best validation. "
        f"{'Each restart stands in a table below.' if again else ''}",
        [Panel((*_both(train, "loss", "train"), of_val, *rules), _STEP, Axis("loss"))],
    )


def _auroc(validation: list[dict[str, Any]], rules: tuple[Mark, ...]) -> Figure:
    steps, values = series(validation, "auroc")
    return Figure(
        "learning_auroc",
        "AUROC on val",
        "Measured on val at every validation. The best of many is a little too high by chance: believe the "
        "figures of the held-out splits.",
        [Panel((Points("val", steps, values, colour=1, joined=True), *rules), _STEP, Axis("AUROC"))],
    )


def _driving(train: list[dict[str, Any]], rules: tuple[Mark, ...]) -> Figure:
    rate = Lines("learning rate", *series(train, "learning_rate"), colour=0)
    norm = _both(train, "gradient_norm", "gradient norm")
    return Figure(
        "learning_driving",
        "Learning rate and gradient",
        "The **learning rate** says how far a step goes. It rises in the warm-up and then falls along a cosine. "
        "The **norm of the gradient** says how steep the loss was; single high points are common, a lasting rise "
        "is a bad sign.",
        [
            Panel((rate, *rules), _STEP, Axis("learning rate", low=0), "learning rate"),
            Panel((*norm, *rules), _STEP, Axis("norm", log=_positive(train, "gradient_norm")), "norm of the gradient"),
        ],
    )


def _positive(found: list[dict[str, Any]], name: str) -> bool:
    values = series(found, name)[1]
    return bool((values[~np.isnan(values)] > 0).all())


def _speed(train: list[dict[str, Any]], rules: tuple[Mark, ...]) -> Figure:
    steps, seconds = series(train, "seconds")
    with np.errstate(invalid="ignore", divide="ignore"):
        wait = 100 * series(train, "data_wait_s")[1] / seconds
    waiting = Lines("wait for data, mean of neighbours", steps, smooth(wait), colour=4)
    median = float(np.nanmedian(series(train, "pairs_per_s")[1]))
    speed = (*_both(train, "pairs_per_s", "pairs a second"), *rules)
    panels = [Panel(speed, _STEP, Axis("pairs a second", low=0), "speed")]
    waited = "Rank 0 hardly waited for data: the processors or the GPU are the limit."
    if np.nanmax(waiting.y, initial=0.0) >= _WORTH_A_LOOK:
        panels.append(Panel((waiting, *rules), _STEP, _percent(waiting.y), "wait for data"))
        waited = (
            "In the second panel, the share of its time that rank 0 waited for data: near 0, the processors or the "
            "GPU are the limit."
        )
    says = f"Pairs that all ranks together learned from in a second: {median:,.0f} in the middle. {waited}"
    return Figure("learning_speed", "Speed", says, panels)


def _starts(run: RunFiles) -> Table:
    rows: list[list[Cell]] = [
        [number, start.step, start.why or "first start"] for number, start in enumerate(run.starts, 1)
    ]
    return Table(
        "learning_starts",
        "Starts of this run",
        "A run that is stopped goes on from its last checkpoint. It has the same result as one that was never stopped.",
        [Column("start"), Column("goes on from step"), Column("why")],
        rows,
    )


def _changes(log: list[dict[str, Any]]) -> Iterator[Says]:
    for record in log:
        if record.get("kind") == "changed":
            texts = record.get("changes")
            said = "; ".join(map(str, texts)) if isinstance(texts, list) else ""
            yield Says(f"**Changed at step {record.get('step')}**: {said}.", "warning")


def _ranks(run: RunFiles) -> Figure:
    names, residues, waits = [], [], []
    for rank, shards in run.embedding.items():
        seconds = sum(_number(shard, "seconds") for shard in shards)
        names.append(f"rank {int(rank) if rank.isdigit() else rank}")
        residues.append(sum(_number(shard, "residues") for shard in shards))
        waits.append(100 * sum(_number(shard, "waited_for_writer_s") for shard in shards) / max(seconds, 1e-9))
    at, width = np.arange(len(names), dtype=np.float64), np.full(len(names), 0.62)
    share = np.array(residues, dtype=np.float64) / 1000
    mean = Rules("equal shares", (float(share.mean()),), colour=GREY, style="dot")
    bars = Bars(
        "residues",
        at,
        share,
        width,
        lying=True,
        texts=tuple(f"{n}: {v:,.0f} residues" for n, v in zip(names, residues, strict=True)),
    )
    wait = Bars(
        "wait",
        at,
        np.array(waits),
        width,
        lying=True,
        colour=4,
        texts=tuple(f"{n}: {v:.1f} %" for n, v in zip(names, waits, strict=True)),
    )
    height, axis = 70 + 26 * max(3, len(names)), Axis(names=tuple(names))
    panels = [Panel((bars, mean), Axis("thousand residues", low=0), axis, "work", height=height)]
    waited = " None of them waited for long until its files were written."
    if max(waits) >= _WORTH_A_LOOK:
        panels.append(Panel((wait,), _percent(wait.length), axis, "wait for the writer", height=height))
        waited = " In the second panel, the share of its time that a rank waited for its files to be written."
    return Figure(
        "learning_ranks",
        "How the ranks shared the embedding",
        "A **rank** is one process of a job. Ranks take pieces of the store as they finish: a faster one has "
        f"more.{waited}",
        panels,
    )


def _percent(values: FloatArray) -> Axis:
    """Up to 5 % at least: less than that is nothing to worry about, and should not fill the panel."""
    return Axis("% of the time", low=0, high=max(5.0, 1.05 * float(np.nanmax(values, initial=0.0))))


def _number(record: dict[str, Any], name: str) -> float:
    value = record.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
