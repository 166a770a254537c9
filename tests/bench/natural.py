"""A natural collection, and the widths of the model that benchmarks embed it with.

The lengths are log-normal with the median of 295 and the mean of 361 residues of UniProtKB/Swiss-Prot, cut at 30 and
1,500.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

WIDTH, INNER, LAYERS_300M = 960, 2560, 30


def natural_lengths(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Lengths in residues, see above."""
    sigma = math.sqrt(2 * math.log(361 / 295))
    lengths: NDArray[np.int64] = np.clip(np.exp(generator.normal(math.log(295), sigma, count)), 30, 1500).astype(
        np.int64
    )
    return lengths


def natural_sequences(count: int, repeats: float, seed: int = 0) -> list[str]:
    """Sequences in file order, some of them repeats of others."""
    generator = np.random.default_rng(seed)
    distinct = count - round(count * repeats)
    lengths = natural_lengths(generator, distinct)
    sequences = ["".join(generator.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in lengths]
    sequences += [sequences[i] for i in generator.integers(0, distinct, count - distinct)]
    return [sequences[i] for i in generator.permutation(count)]
