"""What the network was given: what became of the records, the splits, labels and lengths, and what the audit found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from snw_dist.arrays import FloatArray
from snw_dist.report.marks import Axis, Bars, Lines, Panel, Rules
from snw_dist.report.page import Block, Cell, Column, Commands, Figure, Says, Section, Table
from snw_dist.report.run.files import RunFiles

_BINS = 40


def data_section(run: RunFiles) -> Section:
    """The section about the data."""
    return Section("data", "Data", list(_blocks(run)))


def _blocks(run: RunFiles) -> Iterator[Block]:
    summary = run.prepared.summary
    if not run.data_is_measured:
        yield Says(
            "The data were prepared again since this evaluation. This section shows them as they are now; the figures "
            "of quality are those of the data before.",
            "warning",
        )
    yield _records(summary)
    if run.rejects or summary["dropped"]:
        yield _left_out(run)
    yield _splits(summary)
    yield _splits_table(summary)
    yield _labels(run)
    yield from _lengths(run)
    if not run.prepared.symmetric:
        yield _spread(run.prepared.pairs)
    for note in summary["notes"]:
        yield Says(f"Note of prepare: {note}")
    yield from _audit(run)


def _records(summary: dict[str, Any]) -> Table:
    names = ("read", "kept", "merged", "rejected")
    rows: list[list[Cell]] = [
        [table, *(counts[name] for name in names), counts["kept"] / max(1, counts["read"]) * 100]
        for table, counts in summary["counts"].items()
    ]
    return Table(
        "data_records",
        "What became of the records",
        "Every record that was read is kept, **merged** into another one (it says the same again), or "
        "**rejected**. Nothing else can happen to it.",
        [Column("input"), *(Column(name) for name in names), Column("kept, %", 1)],
        rows,
    )


def _left_out(run: RunFiles) -> Table:
    rows: list[list[Cell]] = [[file, reason, count, example] for file, reason, count, example in run.rejects]
    rows += [["pairs", reason, count, ""] for reason, count in run.prepared.summary["dropped"].items()]
    rows.sort(key=lambda row: -int(row[2] or 0))
    return Table(
        "data_left_out",
        "Records that are not used, and why",
        "Each with its reason is in data/rejects.csv, and pairs that were dropped afterwards in data/dropped.parquet.",
        [Column("input"), Column("reason"), Column("records"), Column("for example", longest=40)],
        rows,
    )


def _splits(summary: dict[str, Any]) -> Figure:
    splits = summary["splits"]
    names = tuple(splits)
    at, width = np.arange(len(names), dtype=np.float64), np.full(len(names), 0.62)
    positive = np.array([splits[name]["positives"] for name in names], dtype=np.float64)
    negative = np.array([splits[name]["pairs"] for name in names], dtype=np.float64) - positive
    bars = (
        Bars("binders", at, positive, width, lying=True, colour=1, texts=_counted(names, positive, "binders")),
        Bars(
            *("non-binders", at, negative, width, positive),
            lying=True,
            colour=0,
            texts=_counted(names, negative, "non-binders"),
        ),
    )
    return Figure(
        "data_splits",
        "Pairs of each split",
        "A **split** is a part of the pairs. The network learns from train. val chooses its weights, its "
        "threshold and its calibration. The others are only for measuring.",
        [Panel(bars, Axis("pairs", low=0), Axis(names=names), height=60 + 42 * len(names))],
    )


def _counted(names: Iterable[str], values: FloatArray, what: str) -> tuple[str, ...]:
    return tuple(f"{name}: {value:,.0f} {what}" for name, value in zip(names, values, strict=True))


def _splits_table(summary: dict[str, Any]) -> Table:
    keys = ("pairs", "positives", "ligands", "ligands_in_train", "receptors", "receptors_in_train")
    heads = ("pairs", "binders", "ligands", "of these in train", "receptors", "of these in train")
    return Table(
        "data_splits_table",
        "What the splits share with train",
        "Sequences of a split that train has too, on the same side. A split whose receptors are all in train says "
        "nothing of new receptors.",
        [Column("split"), *(Column(head) for head in heads)],
        [[name, *(counts[key] for key in keys)] for name, counts in summary["splits"].items()],
    )


def _labels(run: RunFiles) -> Figure:
    pairs = run.prepared.pairs
    label, positive = pairs["label"].to_numpy(dtype=np.float64), pairs["positive"].to_numpy(dtype=np.bool_)
    edges = np.linspace(0, 1, _BINS + 1)
    marks = [
        _histogram(name, label[at], edges, c)
        for name, at, c in (("non-binders", ~positive, 0), ("binders", positive, 1))
    ]
    return Figure(
        "data_labels",
        "Labels",
        "A **label** says how strongly a pair binds: 0 not at all, 1 as strongly as can be. The network learns "
        "the label itself; what is measured as right or wrong is whether the pair counts as a binder.",
        [Panel(tuple(marks), Axis("label", low=0, high=1), Axis("pairs", low=0))],
    )


def _histogram(name: str, values: FloatArray, edges: FloatArray, colour: int, share: bool = False) -> Lines:
    count = np.histogram(values, edges)[0].astype(np.float64)
    count = 100 * count / max(1, values.size) if share else count
    height = np.append(count, count[-1])
    return Lines(name, edges, height, np.zeros_like(height), height, colour=colour, steps=True)


def _lengths(run: RunFiles) -> Iterator[Block]:
    """A side whose sequences all have one length is a sentence: there is nothing to see of it."""
    prepared, pairs = run.prepared, run.prepared.pairs
    sides = [("ligand_id", prepared.ligands, "ligands"), ("receptor_id", prepared.receptors, "receptors")]
    held = pairs["split"] != "train"
    panels, alike = [], ""
    for column, sequences, name in sides:
        parts = [pairs.loc[chosen, column].unique() for chosen in (~held, held)]
        lengths = [np.array([len(sequences[key]) for key in part], dtype=np.float64) for part in parts]
        every = np.concatenate(lengths)
        if every.size and every.min() == every.max():
            alike += f" All {name} have {every[0]:,.0f} residues."
            continue
        edges = _edges(every)
        marks = tuple(
            _histogram(label, values, edges, colour, share=True)
            for label, values, colour in (("train", lengths[0], 0), ("held out", lengths[1], 1))
        )
        panels.append(Panel(marks, Axis("residues"), Axis("% of the sequences", low=0), name))
    if not panels:
        yield Says(f"**Lengths.**{alike}")
        return
    yield Figure(
        "data_lengths",
        "Lengths of the sequences",
        "Each sequence of a side counts once. Where train and the held-out splits differ, a figure of the "
        f"held-out splits is also about another length.{alike}",
        panels,
    )


def _edges(lengths: FloatArray) -> FloatArray:
    """Of bins of whole residues, so that no bin holds more lengths than another."""
    low, high = lengths.min() - 2, lengths.max() + 2
    width = max(1, int(np.ceil((high - low + 1) / _BINS)))
    return np.arange(low, high + 1 + width, width) - 0.5


def _spread(pairs: pd.DataFrame) -> Figure:
    counts = (
        pairs.groupby("receptor_id", observed=True)["positive"]
        .agg(["size", "sum"])
        .sort_values("size", ascending=False)
    )
    at = np.arange(1, len(counts) + 1, dtype=np.float64)
    lines = (
        Lines("pairs", at, counts["size"].to_numpy(dtype=np.float64), colour=0, steps=True),
        Lines("binders", at, counts["sum"].replace(0, np.nan).to_numpy(dtype=np.float64), colour=1, steps=True),
        Rules("ten", (10.0,), upright=False, style="dot"),
    )
    return Figure(
        "data_spread",
        "Pairs of each receptor",
        "The receptors in order of how many pairs they have; note that each line of the grid is ten times the one "
        "below. Where few receptors have most of the pairs, figures over all pairs are about these. With fewer "
        "than about ten binders nothing can be said of a receptor by itself.",
        [Panel(lines, Axis("receptors, the one with most pairs first"), Axis("pairs", log=True))],
    )


def _audit(run: RunFiles) -> Iterator[Block]:
    if run.audit is None:
        yield Says(
            "**Audit.** No audit of this data was made. It looks for repeats, leaks between splits and shortcuts:"
        )
        yield Commands([f"snw-dist prepare --audit --config {run.folder / 'config.json'}"])
        return
    if not run.audit:
        yield Says("**Audit.** It found nothing: no repeats, no leaks between splits, no shortcuts.", "good")
        return
    kinds = Counter(finding["kind"] for finding in run.audit)
    rows: list[list[Cell]] = [
        [
            *(one["kind"].replace("_", " "), one["where"], one["count"], one.get("total"), one["effect"]),
            "; ".join(map(str, one.get("examples", []))),
        ]
        for one in run.audit
    ]
    yield Table(
        "data_audit",
        f"What the audit found: {len(run.audit)} findings of {len(kinds)} kinds",
        "The **audit** looks for what is wrong with a set although each record is right. Read what a finding does "
        "before you trust a figure.",
        [
            Column("finding"),
            Column("where"),
            Column("count"),
            Column("of"),
            Column("what it does"),
            Column("for example"),
        ],
        rows,
    )
