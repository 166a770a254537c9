"""The whole embedding job on one device, beside the encoder alone on the same sequences."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import torch

from snw_dist.embedding.weights.reference import transformers_model
from tests.bench.common import say, seconds
from tests.bench.embedding_job import job_rate
from tests.bench.gpu.encoder import Collection
from tests.bench.gpu.scale import Scale, encoder_of, forget, random_weights
from tests.bench.natural import natural_sequences


def measure(scale: Scale, place: Path) -> dict[str, Any]:
    """All figures of this part; `place` keeps the weights."""
    sequences = natural_sequences(scale.job_sequences, 0.0)
    residues = sum(map(len, sequences))
    alone = _encoder_alone(scale, sequences)
    forget(scale.place)
    say(f"encoder alone: {residues / alone:,.0f} residues/s")
    weights = place / "weights"
    if not weights.exists():
        model: Any = transformers_model(random_weights(scale.shape).weights, torch.device("cpu"), torch.float32)
        copy.deepcopy(model).save_pretrained(weights)  # which refuses tensors that are one, as all norms are
    started = time.perf_counter()
    job = job_rate(sequences, weights, 1, device=scale.device, threads=scale.threads)
    whole_s = time.perf_counter() - started
    return {
        "residues": residues,
        "residues_per_s": round(job.residues_per_s),
        "encoder_residues_per_s": round(residues / alone),
        "share_of_encoder": round(job.residues_per_s * alone / residues, 3),
        "waited_for_writer": round(job.waited_share, 3),
        "whole_s": round(whole_s, 1),
        "around_it_s": round(whole_s - residues / job.residues_per_s, 1),
    }


def _encoder_alone(scale: Scale, sequences: list[str]) -> float:
    """Seconds that the encoder needs, with fetch, once it is warm."""
    encoder = encoder_of(scale)
    Collection(encoder, sequences[: max(1, len(sequences) // 8)]).run()
    collection = Collection(encoder, sequences)
    return seconds(collection.run)
