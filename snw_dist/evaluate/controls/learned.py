"""What a control scores, and how many of the training pairs it has learned that from."""

from __future__ import annotations

from typing import NamedTuple

from snw_dist.arrays import FloatArray


class Learned(NamedTuple):
    """Scores of the held-out pairs by something that was learned from the training pairs, or from a part of them."""

    scores: FloatArray
    """[held-out pairs]"""
    num_pairs: int
    """Training pairs that it was learned from, drawn by chance where all of them would cost too much."""
    num_train: int
    """All training pairs; with `data.symmetric` each order of a pair counts, here and above."""

    def plain(self) -> dict[str, int]:
        """What `metrics.json` says of it, as `learned_from` of the control."""
        return {"num_pairs": self.num_pairs, "num_train": self.num_train}
