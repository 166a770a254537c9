"""UMAP as the maps of a report use it: do new points join their group, move no other, and how long does it take?

`python -m tests.bench.umap_of_report`. It needs the extra `umap`. It is no test, as it compiles for twenty seconds.
"""

from __future__ import annotations

import time

import numpy as np

from snw_dist.report.map.neighbours import neighbour_places

TRAINING, NEW, SIZE, GROUPS = 600, 300, 32, 3


def main() -> None:
    draw = np.random.default_rng(1)
    group = np.arange(TRAINING + NEW) % GROUPS
    vectors = 9.0 * draw.standard_normal((GROUPS, SIZE))[group] + draw.standard_normal((len(group), SIZE))
    training = np.arange(len(group)) < TRAINING
    for start in ("first", "second"):
        began = time.perf_counter()
        places = neighbour_places(vectors, training, seed=1)
        print(f"{start} map of {TRAINING} training points and {NEW} new ones: {time.perf_counter() - began:.1f} s")
    assert places is not None
    middles = np.stack([places[training & (group == one)].mean(axis=0) for one in range(GROUPS)])
    nearest = np.linalg.norm(places[:, None] - middles, axis=2).argmin(axis=1)
    print(f"new points nearest to the middle of their own group: {(nearest == group)[~training].mean():.1%}")
    alone = neighbour_places(vectors[training], np.ones(TRAINING, dtype=bool), seed=1)
    assert alone is not None
    print(f"training points stay where they are without new ones: {np.array_equal(alone, places[training])}")


if __name__ == "__main__":
    main()
