"""How like two receptors are, by the words that they share: quick enough for any number of them, without alignments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from snw_dist.arrays import FloatArray

WORD = 3
_PIECE = 1000
"""Sequences that are compared at once, so that memory stays small."""


def shared_words(sequences: Sequence[str], known: Sequence[str]) -> FloatArray:
    """Of the distinct words of three residues of each sequence, the largest share that one known sequence has as well.

    Two proteins of which a share p of the residues is identical, at places drawn by chance, share about p^3 of their
    words (Ondov et al., Mash, Genome Biology 2016, 17:132, use this the other way round); two that are not related, a
    few in a hundred. Returns [sequences]; 0.0 where nothing is known, and 1.0 for a known sequence, however short.
    """
    found = np.isin(np.array(sequences, dtype=object), np.array(known, dtype=object)).astype(np.float64)
    long = [number for number, sequence in enumerate(sequences) if len(sequence) >= WORD]
    if not any(len(sequence) >= WORD for sequence in known) or not long:
        return found
    counter = CountVectorizer(analyzer="char", ngram_range=(WORD, WORD), lowercase=False, binary=True, dtype=np.int32)
    of_known = counter.fit_transform([*known]).T.tocsr()
    for start in range(0, len(long), _PIECE):
        places = long[start : start + _PIECE]
        shared = (counter.transform([sequences[i] for i in places]) @ of_known).max(axis=1).toarray()[:, 0]
        words = [len({sequences[i][at : at + WORD] for at in range(len(sequences[i]) - WORD + 1)}) for i in places]
        found[places] = np.maximum(found[places], shared / np.array(words))
    return found
