"""The backgrounds of a table: said, and computed, before its first row is scored."""

from __future__ import annotations

from hpc.amounts import count_of
from hpc.told import tell
from snw_dist.scoring.percentile import Percentiles, Wanted
from snw_dist.scoring.table.progress import shown_progress
from snw_dist.scoring.table.sides import Pair
from snw_dist.scoring.table.source import Source

_SHOWN = 5
"""Lengths of ligands without a percentile that are named; the rows themselves have empty cells."""


def wanted_by(source: Source) -> Wanted:
    """The backgrounds that the rows of a source need; raises `InputError` for too many."""
    if source.wanted is not None:
        return source.wanted()
    wanted = Wanted()
    for chunk in source.chunks():
        for pair in chunk.pairs:
            if isinstance(pair, Pair):
                wanted.add(len(pair.ligand), pair.receptor)
    return wanted


def prepare_backgrounds(wanted: Wanted, percentiles: Percentiles) -> None:
    """Say what is computed and what has no percentile, and compute it; an earlier run may have done a part."""
    if without := percentiles.without(wanted.rows):
        rows = count_of(sum(wanted.rows[length] for length in without), "row")
        shown = ", ".join([*(f"{length:,}" for length in without[:_SHOWN]), *(["..."] if without[_SHOWN:] else [])])
        tell(
            f"no snw_percentile for {rows} with ligands of {count_of(len(without), 'length')} ({shown} residues): "
            f"{percentiles.background.why_none}."
        )
    needed = percentiles.needed(wanted.groups)
    tell(
        f"snw_percentile: {percentiles.background.what}, for each receptor and length of a ligand; to score: "
        f"{count_of(needed.pairs, 'pair')} of {count_of(needed.sequences, 'peptide')}, the others are there from "
        "earlier runs"
    )
    with shown_progress(needed.pairs, "scores") as progress:
        percentiles.prepare(wanted.groups, lambda count: progress(count, count))


def tell_of_ranking(receptors: int) -> None:
    """Scores of several receptors without percentiles must not be ranked together."""
    if receptors > 1:
        tell(
            f"{receptors:,} receptors: snw_score ranks the ligands of one receptor. To rank rows of different ones, "
            "add --percentile and sort by snw_percentile."
        )
