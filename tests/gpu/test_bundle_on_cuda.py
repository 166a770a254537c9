"""A bundle that was made on a processor gives its scores on a CUDA device, within the stated tolerance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snw_dist import PairScorer
from snw_dist.bundle.parity import TOLERANCE
from tests.kit.bundle_tools import bundled, measured_pairs, measured_run, with_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.mark.parametrize(
    ("network", "mode"),
    [
        *((name, "frozen") for name in ("siamese", "pseudo_siamese", "pair_of_pairs", "cross_attention", "triplet")),
        *(("changeformer", "frozen"), ("siamese", "lora"), ("cross_attention", "full")),
    ],
)
def test_the_scores_of_a_processor(network: str, mode: Any, tmp_path: Path) -> None:
    sections = with_model(network, encoder_mode=mode, device="cpu")
    config = measured_run(tmp_path, "float32" if mode != "frozen" else "float16", **sections)
    folder, expected = bundled(config, tmp_path / "bundle"), measured_pairs(config)
    scorer = PairScorer.load(folder, device="cuda")
    found = scorer.score(expected["ligand"].tolist(), expected["receptor"].tolist())
    assert scorer.loading.difference <= TOLERANCE["fp32"]
    np.testing.assert_allclose(found.score, expected["score"], rtol=0, atol=TOLERANCE["fp32"])
