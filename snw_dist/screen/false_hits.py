"""Where the lists of a screen end if only a given share of their hits may be false: `--false-rate`.

What can be promised stands in `snw_dist.screen.errors`. Here it is applied to the lists of a screen. A list holds the
best N of its receptor. A pair that is not in it, or below a `--threshold`, counts as compared, but is no hit. The
promise holds for that, too: if a hit traded places with a calibration negative, all other pairs of its list would stay
there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, write_sealed
from hpc.errors import InputError
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.bundle.calibration_pairs import CalibrationPairs, read_calibration_pairs
from snw_dist.bundle.format import TRAINED_ON
from snw_dist.bundle.read import Bundle
from snw_dist.screen.errors.conformal import Negatives, exact_rate
from snw_dist.screen.errors.lists import OWN, HitList, HitLists, hit_lists
from snw_dist.screen.library import Kind
from snw_dist.screen.making import Making
from snw_dist.screen.towers import Towers
from snw_dist.screen.unit import ListUnits

FILE = "cutoffs.json"
_AT_ONCE = 1 << 10


def pairs_of(bundle: Bundle) -> CalibrationPairs:
    """The calibration pairs of a bundle; raises `InputError` where it has none."""
    pairs = read_calibration_pairs(bundle)
    if pairs is None:
        raise InputError(
            f"{bundle.folder}: has no calibration pairs, so nobody knows how many hits would be false. Make it again "
            "with those of a held-out split: snw-dist export --calibration-split NAME"
        )
    return pairs


def lists_of(bundle: Bundle, pairs: CalibrationPairs, receptors: Sequence[str], rate: float) -> HitLists:
    """Which of the receptors are promised something, and by which pairs."""
    trained, symmetric = bundle.read_json(TRAINED_ON), bundle.says.sequences.symmetric
    learned = {*trained["receptors"], *(trained["ligands"] if symmetric else [])}
    return hit_lists(receptors, pairs, learned, symmetric, exact_rate(rate))


def check_promise(bundle: Bundle, receptors: Sequence[str], rate: float) -> Iterator[str]:
    """What there is to tell before a screen begins; raises `InputError` where nothing can be promised."""
    pairs = pairs_of(bundle)
    found = lists_of(bundle, pairs, receptors, rate)
    if not found.lists:
        raise InputError(
            f"--false-rate {rate}: nothing can be promised of any receptor. Of the first: {found.refused[0]}. Leave "
            "--false-rate out, or make the bundle with other pairs: snw-dist export --calibration-split NAME"
        )
    if found.refused:
        yield f"{len(found.refused):,} of {len(receptors):,} receptors get no hits, because nothing can be promised:"
        yield from sorted(set(found.refused.values()))


def scored_again(pairs: CalibrationPairs, towers: Towers, dtype: str) -> CalibrationPairs:
    """The pairs with the scores that a screen gives them: by vectors of its number format, on its device.

    Only scores that are made in one way can be compared.
    """
    vectors = [_vectors(towers, "ligand", pairs.ligands, dtype), _vectors(towers, "receptor", pairs.receptors, dtype)]
    score = [
        value
        for start in range(0, len(pairs.score), _AT_ONCE)
        for value in towers.scores(
            vectors[0][pairs.ligand[start : start + _AT_ONCE]], vectors[1][pairs.receptor[start : start + _AT_ONCE]]
        ).tolist()
    ]
    return replace(pairs, score=score)


def _vectors(towers: Towers, side: Kind, sequences: Sequence[str], dtype: str) -> torch.Tensor:
    pieces = [towers.vectors(side, sequences[at : at + _AT_ONCE]) for at in range(0, len(sequences), _AT_ONCE)]
    return torch.cat(pieces).to(getattr(torch, dtype)).float()


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
        of, bundle, rate = self._of, self._of.towers.scorer.bundle, self._rate
        assert rate is not None, "there is no such unit without a rate"
        checkpoint()
        pairs = scored_again(pairs_of(bundle), of.towers, of.plan.content.dtype)
        found = lists_of(bundle, pairs, self._receptors.sequences.all(), rate)
        groups = ListUnits(of.scoring)
        scores = np.concatenate([groups.read(number).score.numpy() for number in range(len(groups))])
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
        said = {"rate": rate, "split": pairs.split, "lists": lists, "refused": refused}
        negatives = [(one.negatives.num, one.negatives.highest.tolist()) for one in found.lists]
        write_sealed(self._file, {"cutoffs": cutoffs, "list_of": list_of, "negatives": negatives, "said": said})

    @property
    def _file(self) -> Path:
        return self._of.scoring.folder / FILE

    def _ids(self, places: list[int]) -> list[str]:
        return self._receptors.names(np.array(places, np.int64))[1]


def _selected(hits: HitList, scores: np.ndarray[Any, np.dtype[np.float32]], num_ligands: int) -> dict[str, Any]:
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
        of = f"{who}: {one['hits']:,} of {one['tested']:,} pairs kept"
        if one["hits"]:
            yield f"{of}; on average at most {said['rate']:g} of them false, by {one['negatives']:,} known negatives"
        else:
            yield f"{of}: at least {one['fewest_hits']:,} would have to score above the {one['negatives']:,} negatives"
        if one["cut_by_top"]:
            yield f"the lists of {one['cut_by_top']:,} receptors end before the cutoff: a larger --top would keep more"
    for why in sorted({one["why"] for one in said["refused"]}):
        names = [name for one in said["refused"] if one["why"] == why for name in one["receptors"]]
        yield f"nothing is promised of {', '.join(names[:5])}{' and others' if len(names) > 5 else ''}: {why}"
