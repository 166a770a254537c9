"""The export of a small network."""

from __future__ import annotations

import os
from pathlib import Path

from snw_dist.config import ModelSection
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.model.build import build_model
from snw_dist.predict.export import write_export
from tests.kit.train_tools import WIDTH

REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "40"))
SECTION = ModelSection(
    name="siamese", d_model=8, num_heads=2, num_conv_layers=1, num_transformer_layers=1, num_pooling_queries=2,
    embedding_size=4,
)  # fmt: skip
FACTS = {"step": 12, "validation": {"auroc": 0.75}, "provenance": {"num_ranks": 2}}


def written(folder: Path, header: StoreHeader, seed: int = 5) -> Path:
    write_export(folder, dict(build_model(SECTION, WIDTH, seed).named_parameters()), SECTION, header, FACTS)
    return folder
