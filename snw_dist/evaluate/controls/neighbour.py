"""The nearest-neighbour control: what the most similar training pairs were labelled."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from hpc.told import tell
from snw_dist.arrays import FloatArray, IntArray
from snw_dist.evaluate.controls.learned import Learned

NUM_NEIGHBOURS = 20
MAX_CELLS = 2**31
"""Most held-out x training pairs compared; about half a minute. Beyond it a random part of training is used."""
_CHUNK_CELLS = 2**22
_SAMPLE = 500
"""Distinct sequences of each side and set that the spread of similarities is taken from."""


def neighbour_scores(train: pd.DataFrame, held_out: pd.DataFrame, seed: int = 0, max_cells: int = MAX_CELLS) -> Learned:
    """The mean label of the 20 most similar training pairs of each held-out pair: [held-out pairs] float64.

    The similarity of two pairs is that of their ligands plus that of their receptors, each the cosine of the counts
    of their 1- to 3-mers (the spectrum kernel of Leslie et al. 2002), in which both ends of a sequence are letters
    too, over its standard deviation: receptors of one family are all alike, and would have no say beside ligands.
    Pairs as similar as the twentieth count as well, so the order of rows does not matter.
    """
    num_train, most = len(train), max(NUM_NEIGHBOURS, max_cells // max(1, len(held_out)))
    if len(train) > most:
        tell(f"the control neighbour looks at {most:,} of {len(train):,} training pairs, drawn by chance")
        train = train.sample(most, random_state=seed)
    label = train["label"].to_numpy(dtype=np.float64)
    sides = [_Side(train[side], held_out[side]) for side in ("ligand", "receptor")]
    order = np.lexsort([side.wanted for side in sides])  # neighbours in this order share sequences
    scores = np.empty(len(held_out))
    size = max(1, _CHUNK_CELLS // len(train))
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        scores[rows] = _mean_of_nearest(np.add(*(side.similarity(rows) for side in sides)), label)
    return Learned(scores, len(train), num_train)


class _Side:
    """One side of the pairs: k-mer counts of each distinct sequence, scaled to length 1."""

    def __init__(self, train: pd.Series[str], held_out: pd.Series[str]) -> None:
        self.known, known = pd.factorize(train, sort=True)
        self.wanted, wanted = pd.factorize(held_out, sort=True)
        counter = CountVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False, dtype=np.float32)
        marked = [[f"<{sequence}>" for sequence in sequences] for sequences in (known, wanted)]
        self.known_kmers: csr_array = normalize(counter.fit_transform(marked[0])).T.tocsr()
        self.wanted_kmers: csr_array = normalize(counter.transform(marked[1])).tocsr()
        some_known, some_wanted = (
            np.unique(np.linspace(0, len(distinct) - 1, _SAMPLE, dtype=np.int64)) for distinct in (known, wanted)
        )
        spread = float((self.wanted_kmers[some_wanted] @ self.known_kmers[:, some_known]).toarray().std())
        self.spread = spread if spread > 1e-4 else 1.0  # below is rounding: one sequence, or all alike

    def similarity(self, rows: IntArray) -> FloatArray:
        """[rows, training pairs]"""
        distinct, row = np.unique(self.wanted[rows], return_inverse=True)
        cosine = (self.wanted_kmers[distinct] @ self.known_kmers).toarray() / self.spread
        return np.asarray(cosine[np.ix_(row, self.known)])


def _mean_of_nearest(similarity: FloatArray, label: FloatArray) -> FloatArray:
    """[rows]; similarity: [rows, training pairs]."""
    num = min(NUM_NEIGHBOURS, label.size)
    least = np.partition(similarity, -num, axis=1)[:, -num, None]
    near = similarity >= least
    return np.asarray((near @ label) / near.sum(axis=1))
