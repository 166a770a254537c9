"""What is said before anything long starts: how much there is to do, and how long it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hpc.amounts import count_of, duration
from hpc.told import long_work, tell
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.sides import Pair
from snw_dist.scoring.table.source import Source
from snw_dist.scoring.table.survey import Survey, counted

TRIAL_S = 1.0
"""A trial that has taken so long says enough."""
QUICK_S = 5.0
"""What takes no longer needs no estimate."""
_FIRST, _GROWTH, _SHARE = 16, 4, 16
"""Pairs of the first set, how much larger the next one is, and the part of all pairs that none goes beyond."""


class Pace(NamedTuple):
    """What a trial took."""

    pairs: int
    embedding_s: float
    """For each residue that is not embedded yet."""
    scoring_s: float
    """For each pair."""

    def seconds(self, pairs: int, residues: int) -> float:
        """For so many pairs, with so many residues to embed."""
        return pairs * self.scoring_s + residues * self.embedding_s


def surveyed(source: Source, scorer: PairScorer) -> Survey:
    """Count what is to be done, and say it. A table is read to its end, so what is wrong with it is found here."""
    with long_work("counting"):
        if source.survey is not None:
            survey = source.survey(scorer.stored)
        else:
            survey = counted((chunk.pairs for chunk in source.chunks()), scorer.stored)
    entry = scorer.bundle.says.rows
    width = entry.width * torch_dtype(entry.dtype).itemsize
    to_embed, about = survey.to_embed, "" if survey.distinct.exact else "about "
    refused = f", {survey.rows - survey.pairs:,} cannot be scored" if survey.rows > survey.pairs else ""
    tell(
        f"{count_of(survey.rows, 'row')}{refused}; {count_of(survey.pairs, 'pair')} of {about}"
        f"{count_of(survey.distinct.sequences, 'distinct sequence')}; to embed: {about}"
        f"{count_of(to_embed.sequences, 'sequence')}, {count_of(to_embed.residues, 'residue')}, "
        f"{to_embed.residues * width:,} bytes in memory if all at once"
    )
    return survey


def estimated(survey: Survey, pairs: Sequence[Pair], scorer: PairScorer, bytes_written: Callable[[], int]) -> None:
    """Say how long it may take and how much is written, from a trial on some of the pairs; nothing if it is quick."""
    pace = tried(pairs, survey, lambda some: _score(scorer, some), scorer.stored)
    if pace is None:
        return
    takes = duration(pace.seconds(survey.pairs, survey.to_embed.residues))
    tell(
        f"about {takes} (from a trial with {count_of(pace.pairs, 'pair')}), and about "
        f"{count_of(bytes_written(), 'byte')} of output"
    )


def tried(
    pairs: Sequence[Pair],
    survey: Survey,
    score: Callable[[Sequence[Pair]], None],
    stored: Callable[[str], bool],
    clock: Callable[[], float] = time.perf_counter,
) -> Pace | None:
    """The pace of `score` on some pairs, each time four times as many; None where all is done in seconds anyway.

    A set with sequences that are not embedded yet is scored twice: the first time embeds them, and keeps them.
    """
    size, embedding_s, seen, pace = _FIRST, 0.0, set[str](), None

    def timed(some: Sequence[Pair]) -> float:
        started = clock()
        score(some)
        return clock() - started

    while size <= len(pairs) and size * _SHARE <= survey.pairs:
        some = pairs[:: len(pairs) // size][:size]
        new = {one for pair in some for one in pair if one not in seen and not stored(one)}
        first = timed(some)
        again = timed(some) if new else first
        seen |= new
        embedding_s += max(0.0, first - again)
        pace = Pace(size, embedding_s / max(1, sum(map(len, seen))), again / size)
        if pace.seconds(survey.pairs, survey.to_embed.residues) < QUICK_S:
            return None
        if first + again > TRIAL_S:
            break
        size *= _GROWTH
    return pace


def _score(scorer: PairScorer, pairs: Sequence[Pair]) -> None:
    scorer.score_clean([pair.ligand for pair in pairs], [pair.receptor for pair in pairs])
