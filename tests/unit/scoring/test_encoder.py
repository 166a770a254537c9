"""The encoder of a bundle is the one of the training, wherever it lies now, or none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from hpc.errors import InputError
from snw_dist import PairScorer
from snw_dist.bundle.read import open_bundle
from snw_dist.config import SnwConfig
from snw_dist.embedding.store.header import rows_digest
from snw_dist.scoring.encoder import bundle_encoder
from tests.kit.bundle_tools import bundled, measured_pairs, measured_run
from tests.kit.weights_tools import folder_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def esmc(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SnwConfig, Path]:
    """Weights in a transformers folder, a run on two of its layers, and its bundle."""
    folder = tmp_path_factory.mktemp("esmc")
    folder_model().save_pretrained(folder / "weights")
    encoder = {"name": "esmc", "weights": str(folder / "weights"), "layer": [0, -1], "precision": "fp32"}
    config = measured_run(folder, encoder=encoder)
    return folder / "weights", config, bundled(config, folder / "bundle")


def test_from_where_the_bundle_says_and_from_elsewhere(esmc: tuple[Path, SnwConfig, Path], tmp_path: Path) -> None:
    weights, config, folder = esmc
    expected = measured_pairs(config)
    pairs = expected["ligand"].tolist(), expected["receptor"].tolist()
    np.testing.assert_allclose(PairScorer.load(folder).score(*pairs).score, expected["score"], rtol=0, atol=1e-6)
    moved = tmp_path / "moved"
    weights.rename(moved)
    try:
        with pytest.raises(InputError) as caught:
            PairScorer.load(folder)
        found = PairScorer.load(folder, encoder=str(moved)).score(*pairs)
    finally:
        moved.rename(weights)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder}: needs the encoder ESM C, 2 layers of 64, ")
    assert str(caught.value).endswith("Give it: PairScorer.load(..., encoder=FILE_OR_FOLDER_OR_HUB_ID)")
    np.testing.assert_allclose(found.score, expected["score"], rtol=0, atol=1e-6)


def test_another_encoder_is_refused(esmc: tuple[Path, SnwConfig, Path], tmp_path: Path) -> None:
    folder_model(seed=1).save_pretrained(tmp_path / "other")
    with pytest.raises(InputError, match=r"needs the encoder ESM C.* is another one \("):
        PairScorer.load(esmc[2], encoder=str(tmp_path / "other"))


def test_the_random_encoder_needs_nothing_and_is_the_same_everywhere(made: Path) -> None:
    rows = open_bundle(made).says.rows
    assert bundle_encoder(rows, None, CPU, "x").facts == rows.encoder
    other = dataclasses.replace(rows, encoder=rows.encoder | {"weights_sha256": "ab" * 32})
    with pytest.raises(InputError, match="is another one"):
        bundle_encoder(other, None, CPU, "x")


def test_an_encoder_that_would_not_be_used_is_refused(made: Path) -> None:
    with pytest.raises(
        InputError, match=r"random weights.*so nowhere/esmc would not be used\. Leave the encoder out\.$"
    ):
        PairScorer.load(made, encoder="nowhere/esmc")


def test_a_program_that_makes_other_rows_is_refused(made: Path) -> None:
    """Such as one with other windows for long sequences."""
    rows = open_bundle(made).says.rows
    facts = rows.encoder | {"window_overlap": 256}
    other = dataclasses.replace(rows, encoder=facts, sha256=rows_digest(facts, rows.dtype, rows.width))
    with pytest.raises(InputError, match="makes other rows than that of the training"):
        bundle_encoder(other, None, CPU, "x")
