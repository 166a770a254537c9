"""Where the lists of a screen end if only a given share of their hits may be false: `--false-rate`.

What can be promised stands in `snw_dist.screen.errors`. Here it is applied to the lists of a screen. A list holds the
best N of its receptor. A pair that is not in it, or below a `--threshold`, counts as compared, but is no hit. The
promise holds for that, too: if a hit traded places with a calibration negative, all other pairs of its list would stay
there.

With a second stage the scores are its own, also those of the calibration pairs. A pair that the first stage does not
put among its best counts as compared, too, and is no hit. The promise holds again: whichever pair has the place of a
false hit in the list of the first stage, the others there are the same. Calibration pairs need not pass the first
stage, and a false hit has to. That can only keep fewer hits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.amounts import count_of
from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.errors import InputError
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.bundle.calibration_pairs import CalibrationPairs
from snw_dist.bundle.format import TRAINED_ON
from snw_dist.bundle.read import Bundle
from snw_dist.screen.calibration import check_held_out, pairs_of, scored_again, scored_by
from snw_dist.screen.errors.conformal import Negatives, exact_rate
from snw_dist.screen.errors.lists import OWN, HitList, HitLists, hit_lists
from snw_dist.screen.making import Making

FILE = "cutoffs.json"
_AT_ONCE = 1 << 10


def lists_of(bundle: Bundle, pairs: CalibrationPairs, receptors: Sequence[str], rate: float) -> HitLists:
    """Which of the receptors are promised something, and by which pairs."""
    trained, symmetric = bundle.read_json(TRAINED_ON), bundle.says.sequences.symmetric
    learned = {*trained["receptors"], *(trained["ligands"] if symmetric else [])}
    return hit_lists(receptors, pairs, learned, symmetric, exact_rate(rate))


def check_promise(bundle: Bundle, receptors: Sequence[str], rate: float, first: Bundle | None = None) -> Iterator[str]:
    """What there is to tell before a screen begins; raises `InputError` where nothing can be promised.

    bundle: whose scores rank the hits; first: of the first stage, where that is another one.
    """
    pairs = pairs_of(bundle)
    if first is not None:
        check_held_out(pairs, bundle, first)
    found = lists_of(bundle, pairs, receptors, rate)
    if not found.lists:
        raise InputError(
            f"--false-rate {rate}: nothing can be promised of any receptor. Of the first: {found.refused[0]}. Leave "
            "--false-rate out, or make the bundle with other pairs: snw-dist export --calibration-split NAME"
        )
    if found.refused:
        yield f"no hits for {len(found.refused):,} of {count_of(len(receptors), 'receptor')}: nothing can be promised:"
        yield from sorted(set(found.refused.values()))


class CutoffUnits:
    """The cutoffs of all receptors as one unit of work (`snw_dist.screen.work.Units`); none without a rate."""

    kind, unit = "cutoffs", "receptors"

    def __init__(self, making: Making) -> None:
        self._of = making
        self._rate = making.plan.content.false_rate
        self._receptors = making.sides.receptors

    def __len__(self) -> int:
        return int(self._rate is not None)

    def size(self, number: int) -> int:
        """Receptors."""
        return len(self._receptors)

    def has(self, number: int, verify: bool) -> bool:
        """Whether the cutoffs are there; the file is small, and is always looked at."""
        try:
            return bool(self.read())
        except (OSError, BadFileError):
            return False

    def read(self) -> dict[str, Any]:
        """What `do` has written: `cutoffs`, [receptors], null where nothing is kept, and what is said of the lists.

        Also `list_of`, [receptors], and `negatives` of each list: how many, and the highest of their scores.

        Raises `OSError` or `BadFileError` where that is not there.
        """
        return read_sealed(self._file)

    def said(self) -> dict[str, Any] | None:
        """What the result tells of the promise; None where nothing was promised."""
        return None if self._rate is None else dict(self.read()["said"])

    def least(self, receptors: range, threshold: float | None) -> FloatArray:
        """[receptors]: the lowest score of a hit of each."""
        lowest = -np.inf if threshold is None else threshold
        if self._rate is None:
            return np.full(len(receptors), lowest)
        cutoffs = [math.inf if one is None else one for one in self.read()["cutoffs"][receptors.start : receptors.stop]]
        return np.asarray(np.maximum(np.nextafter(cutoffs, np.inf), lowest))  # a hit scores above the cutoff

    def p_values(self, receptor: IntArray, score: FloatArray) -> FloatArray:
        """[hits], by the negatives of the list that the receptor of a hit is in; receptor, score: [hits]."""
        read, found = self.read(), np.ones(len(score))
        list_of = np.array(read["list_of"], dtype=np.int64)[receptor]
        for number, (num, highest) in enumerate(read["negatives"]):
            here = np.flatnonzero(list_of == number)
            found[here] = Negatives(exact_rate(self._rate or 0), num, np.array(highest)).p_values(score[here])
        return found

    def do(self, number: int, checkpoint: Callable[[], None]) -> None:
        """Count the entries of all lists, and find the cutoffs."""
        of, scorer, rate = self._of, self._of.ranking.scorer, self._rate
        assert rate is not None, "there is no such unit without a rate"
        checkpoint()
        pairs, second = pairs_of(scorer.bundle), of.ranking.second
        if second:
            pairs = scored_by(pairs, scorer, checkpoint)
        else:
            pairs = scored_again(pairs, of.towers, of.plan.content.dtype)
        found = lists_of(scorer.bundle, pairs, self._receptors.sequences.all(), rate)
        ranked = map(of.lists, range(len(of.scoring.grid.groups)))
        scores = np.concatenate([one.score if second else one.first_score for one in ranked])
        if (threshold := of.plan.content.threshold) is not None:
            scores[scores.astype(np.float64) < threshold] = -np.inf  # compared, but no hit
        cutoffs: list[float | None] = [None] * len(self._receptors)
        lists, list_of = [], [-1] * len(self._receptors)
        for place_of_list, hits in enumerate(found.lists):
            checkpoint()
            facts = _selected(hits, scores, len(of.sides.ligands))
            lists.append({"name": hits.name, "receptors": self._ids(hits.receptors), **facts})
            for place in hits.receptors:
                cutoffs[place], list_of[place] = facts["cutoff"], place_of_list
        refused = [{"receptors": self._ids([place]), "why": why} for place, why in found.refused.items()]
        given = of.plan.content
        ends = "--rerank-top" if second and (given.top or given.most) >= given.most else "--top"
        said = {"rate": rate, "split": pairs.split, "lists": lists, "refused": refused, "ends_by": ends}
        negatives = [(one.negatives.num, one.negatives.highest.tolist()) for one in found.lists]
        write_sealed(self._file, {"cutoffs": cutoffs, "list_of": list_of, "negatives": negatives, "said": said})

    @property
    def _file(self) -> Path:
        return self._of.scoring.folder / FILE

    def _ids(self, places: list[int]) -> list[str]:
        return self._receptors.names(np.array(places, np.int64))[1]


def _selected(hits: HitList, scores: NDArray[np.floating], num_ligands: int) -> dict[str, Any]:
    """The cutoff of a list, and how it came about; scores: [receptors, entries], the best first."""
    own = scores[hits.receptors]
    counts = hits.negatives.counts(own)
    counts[-1] += (num_ligands - own.shape[1]) * len(own)
    found = hits.negatives.selection(counts)
    ends_early = own.shape[1] < num_ligands and found.num_hits > 0
    return {
        "cutoff": found.cutoff if found.num_hits else None,
        "hits": found.num_hits,
        "tested": found.num_tested,
        "negatives": found.num_negatives,
        "estimate": found.estimate,
        "fewest_hits": hits.negatives.fewest_hits(found.num_tested),
        "cut_by_top": int(found.hits(own[:, -1]).sum()) if ends_early else 0,
    }


def said_of(said: dict[str, Any]) -> Iterator[str]:
    """Lines for people on what the promise is, from what `CutoffUnits` has left."""
    for one in said["lists"]:
        who = one["receptors"][0] if one["name"] == OWN else f"{one['name']} ({len(one['receptors']):,})"
        of = f"{who}: {one['hits']:,} of {count_of(one['tested'], 'pair')} kept"
        known = count_of(one["negatives"], "known negative")
        if one["hits"]:
            yield f"{of}; on average at most {said['rate']:g} of them false, by {known}"
        else:
            yield f"{of}: at least {one['fewest_hits']:,} would have to score above the {known}"
        if one["cut_by_top"]:
            more = f"a larger {said['ends_by']} would keep more"
            yield f"{count_of(one['cut_by_top'], 'list')} may be too short, the cutoff is not in there: {more}"
    for why in sorted({one["why"] for one in said["refused"]}):
        names = [name for one in said["refused"] if one["why"] == why for name in one["receptors"]]
        yield f"nothing is promised of {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}: {why}"
