"""How many hits the first stage has kept from the second one: measured on a sample, without labels.

The second stage looks at the best K of each receptor. A ligand that is not among these is *missed* where its score
would have put it on the list. All hits are known. So the second stage scores a random sample of the others, too, and

    recall = hits / (hits + missed),    missed = others * (share of the sample that would be on a list).

Each receptor has as many others, and as many of these in the sample. So the share is that of all pairs together, and
its exact binomial interval (Clopper and Pearson 1934) holds, whatever the scores are: where receptors differ it is too
wide (Hoeffding 1956, "On the distribution of the number of successes in independent trials").
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hpc.amounts import count_of
from snw_dist.arrays import FloatArray, IntArray

SHARE, FEWEST = 10, 1000
"""The sample has a pair for every tenth one that is ranked again, and so many in all."""
_ERROR = 0.05
_STEPS = 60


def sample_size(num_ligands: int, num_receptors: int, most: int) -> int:
    """Ligands of each receptor that are sampled from those beyond the best `most`; all, where these are few."""
    return min(num_ligands - most, max(most // SHARE, -(-FEWEST // num_receptors)))


@dataclass(frozen=True)
class Recall:
    """What the lists have of all that the second stage would have put there."""

    most: int
    """Ligands of each receptor that the second stage has looked at."""
    others: int
    """Pairs that it has not looked at."""
    hit_ranks: IntArray
    """[hits] places in the first stage."""
    sampled: int
    """Pairs of the sample."""
    missed_ranks: FloatArray
    """[missed pairs of the sample] about their places in the first stage."""

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """The recall, and the ends of its 95 % interval; None where nothing would be a hit."""
        found, weight = len(self.hit_ranks), self.others / max(1, self.sampled)
        shares = share_interval(len(self.missed_ranks), self.sampled) if self.others > self.sampled else None
        missed = weight * len(self.missed_ranks)
        low, high = (missed, missed) if shares is None else (self.others * shares[0], self.others * shares[1])
        return (found / (found + missed), found / (found + high), found / (found + low)) if found + missed else None

    def at(self, most: int) -> float:
        """The recall if the second stage had looked at so many ligands of each receptor."""
        weight = self.others / max(1, self.sampled)
        found = (self.hit_ranks <= most).sum() + weight * (self.missed_ranks <= most).sum()
        return float(found / (len(self.hit_ranks) + weight * len(self.missed_ranks)))

    def choices(self, num_ligands: int, fewest: int) -> dict[int, float]:
        """The recall at other numbers, from `fewest` to less than all: an eighth to four times as many."""
        numbers = sorted({math.ceil(self.most * 2.0**power) for power in range(-3, 3)})
        return {most: self.at(most) for most in numbers if fewest <= most < num_ligands}

    def said(self, num_ligands: int, fewest: int) -> dict[str, Any]:
        """For `result.json`; fewest: the smallest number that the second stage may look at."""
        interval = self.interval
        return {
            "rerank_top": self.most,
            "hits": len(self.hit_ranks),
            "others": self.others,
            "sampled": self.sampled,
            "missed_of_sample": len(self.missed_ranks),
            "recall": None if interval is None else interval[0],
            "interval": None if interval is None else list(interval[1:]),
            "by_rerank_top": [] if interval is None else [*self.choices(num_ligands, fewest).items()],
        }


def said_of(said: dict[str, Any]) -> Iterator[str]:
    """Lines for people, from `Recall.said`."""
    sampled, others, missed = (f"{said[key]:,}" for key in ("sampled", "others", "missed_of_sample"))
    if not said["others"]:
        yield "the second stage has scored every pair: the first one has kept none from it"
    elif said["recall"] is None:
        yield f"no hit, and the second stage would have none among {sampled} of the {others} pairs that it left out"
    else:
        low, high = said["interval"]
        yield (
            f"the lists have {said['recall']:.1%} (95 % interval: {low:.1%} to {high:.1%}) of what would be there if "
            f"the second stage had scored every pair: of {sampled} of the {others} others {missed} would be hits"
        )
    if said["others"] and said["by_rerank_top"]:
        each = ", ".join(f"{most:,}: {recall:.1%}" for most, recall in said["by_rerank_top"])
        yield f"an estimate for other numbers of --rerank-top: {each}"
    if said["others"]:
        yield from _of_binders(said["known_binders"])


def _of_binders(known: dict[str, Any]) -> Iterator[str]:
    if "why" in known:
        yield f"how many known binders the first stage passes on is not told: {known['why']}"
    else:
        share = known["passed_on"] / known["binders"]
        yield (
            f"of {count_of(known['binders'], 'known binder')} of these receptors (split {known['split']}) the first "
            f"stage would pass on {known['passed_on']:,} ({share:.1%})"
        )


def share_interval(count: int, num: int) -> tuple[float, float]:
    """The exact 95 % interval of a share, of which `count` of `num` have been seen; num: at least 1."""
    low = 0.0 if count == 0 else 1.0 - _highest(num - count, num)
    return low, 1.0 if count == num else _highest(count, num)


def _highest(count: int, num: int) -> float:
    """The largest share with which `count` or fewer of `num` are seen as often as a fortieth of the times."""
    steps = np.arange(1, count + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((num - steps + 1) / steps))])
    seen, low, high = np.arange(count + 1), 0.0, 1.0
    for _ in range(_STEPS):
        share = (low + high) / 2
        chance = np.exp(ways + seen * math.log(share) + (num - seen) * math.log1p(-share)).sum()
        low, high = (share, high) if chance > _ERROR / 2 else (low, share)
    return high
