"""The `scored` fixture of the tests of scores."""

from __future__ import annotations

from typing import Any

import pytest

from snw_dist.config import SnwConfig
from tests.kit.data_inputs import Inputs
from tests.kit.rosetta_inputs import score_file
from tests.kit.scored_inputs import DECOYS, DESCRIPTION, FASTA, RANDOM, Scored


@pytest.fixture
def scored(inputs: Inputs) -> Scored:
    """Settings for a score file of `DECOYS`; keywords are those of `data.scores`."""

    def write(text: str | None = None, name: str = "score.sc", on_invalid: str = "error", **scores: Any) -> SnwConfig:
        return inputs(
            **FASTA,
            pairs=score_file(DECOYS) if text is None else text,
            names=("ligands.fasta", "receptors.fasta", name),
            split=RANDOM,
            scores={"term": "I_sc", "description": DESCRIPTION, **scores},
            on_invalid=on_invalid,
        )

    return write
