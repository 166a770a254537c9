"""Networks trained by two ranks as bundles; all 72 ways of training are tried by `python -m tests.bench.bundles`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.bundles import EVERY, Cell, differences

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(400)]
SOME = [
    Cell("frozen", "fp32", 0, "siamese"),
    Cell("frozen", "bf16", 3, "cross_attention"),
    Cell("lora", "fp32", 3, "pair_of_pairs"),
    Cell("full", "bf16", 0, "pseudo_siamese"),
]


def test_elsewhere_a_bundle_gives_the_very_scores_of_the_evaluation(tmp_path: Path) -> None:
    assert differences(SOME, tmp_path) == dict.fromkeys(SOME, 0.0)


def test_every_way_is_tried_once() -> None:
    assert len(set(EVERY)) == 6 * 3 * 2 * 2
