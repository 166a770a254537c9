"""One CUDA device: ESM C against transformers, and training against plain PyTorch on files.

    python -m tests.bench.gpu --json

The encoder has random weights of the 300M shape and computes in bfloat16, ours and transformers' (its own choice of
attention) alike; transformers gets batches of 16 in file order and sorted, and the same tokens a batch as ours, sorted.
Its rows, too, are brought to the processor. The limit is the best rate of `F.linear` on the model's own shapes.
Training is that of `tests.bench.train` on one rank: pseudo_siamese, base, 128 pairs a step; plain PyTorch in float32
reads its files with as many workers as the rank has processors.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from transformers import EsmcTokenizer

from snw_dist.embedding.encoder import Encoder, build_encoder
from snw_dist.embedding.esmc.batch_size import measured_tokens_per_batch
from snw_dist.embedding.esmc.gemm import gemm_rate
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.embedding.weights.reference import check_parity, transformers_model
from tests.bench.common import finish, medians, parser, say, seconds, show
from tests.bench.embedding_job import job_rate
from tests.bench.natural import INNER, LAYERS_300M, WIDTH, natural_sequences
from tests.bench.train import timed
from tests.bench.train_inputs import Input, mhc_binding, pep_receptor

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
DTYPE = torch.bfloat16
PEER_BATCH, WARM_UP = 16, 64  # sequences
WAYS = ("file_order", "sorted", "by_tokens")
PRECISIONS: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
THREADS = min(8, os.cpu_count() or 1)


def run_ours(encoder: Encoder, sequences: Sequence[str]) -> int:
    """The collection as the embedding job does it, to float16 rows on the processor; operations."""
    plan = plan_embedding(sequences, 10**9, 64)
    rows = torch.empty(plan.num_residues, WIDTH, dtype=torch.float16)
    return sum(batch.flops for batch in encoder.embed_into(rows, plan.sequences))


def peer_batches(sequences: Sequence[str], way: str, tokens: int) -> Iterator[list[str]]:
    """How transformers gets the collection."""
    ordered = list(sequences) if way == "file_order" else sorted(sequences, key=len, reverse=True)
    start = 0
    while start < len(ordered):
        size = PEER_BATCH if way != "by_tokens" else max(1, tokens // (len(ordered[start]) + 2))
        yield ordered[start : start + size]
        start += size


@torch.inference_mode()
def run_transformers(model: Any, sequences: Sequence[str], way: str, tokens: int) -> None:
    """The collection through transformers, the last layer's rows to the processor."""
    tokenizer = EsmcTokenizer()
    for batch in peer_batches(sequences, way, tokens):
        inputs = tokenizer(batch, return_tensors="pt", padding=True).to(CUDA)
        model(**inputs).last_hidden_state.half().cpu()


def embedding(rounds: int, num_sequences: int) -> dict[str, Any]:
    """Residues a second of the encoder and of its peers."""
    sequences = natural_sequences(num_sequences, 0.2)
    loaded = tiny_random_weights(WIDTH, LAYERS_300M, INNER)
    encoder = build_encoder("esmc-tiny-random", loaded, CUDA, "bf16", [-1], "concat", 2048)
    parity = check_parity(encoder.model, loaded, sequences)
    encoder.tokens_per_batch = tokens = measured_tokens_per_batch(encoder.model, 1)
    model = transformers_model(loaded.weights, CUDA, DTYPE)
    say(f"batches of {tokens} tokens")
    flops = run_ours(encoder, sequences)
    variants = {"ours": lambda: seconds(lambda: run_ours(encoder, sequences))}
    for way in WAYS:
        run_transformers(model, sequences[:WARM_UP], way, tokens)
        variants[way] = partial(seconds, partial(run_transformers, model, sequences, way, tokens))
    variants["limit"] = lambda: gemm_rate(encoder.model.shape, CUDA, DTYPE)
    found = medians(rounds, variants)
    torch.cuda.empty_cache()
    with tempfile.TemporaryDirectory(prefix="snw-gpu-") as name:
        copy.deepcopy(transformers_model(loaded.weights, CPU, torch.float32)).save_pretrained(name)
        job = job_rate(sequences, Path(name), 1, device="cuda", threads=THREADS)
    residues, ours = sum(map(len, sequences)), found["ours"]
    return {
        "residues_per_s": round(residues / ours),
        **{f"ratio_{way}": round(found[way] / ours, 2) for way in WAYS},
        "job_residues_per_s": round(job.residues_per_s),
        "job_waited_for_writer": round(job.waited_share, 3),
        "gemm_share": round(flops / ours / found["limit"], 3),
        "gemm_tflops": round(found["limit"] / 1e12, 1),
        "tokens_per_batch": tokens,
        "difference": float(f"{parity.against_reference:.1e}"),
    }


def training(rounds: int, num_pairs: int, steps: int) -> dict[str, Any]:
    """Pairs a second of one rank, and the peers'."""
    with tempfile.TemporaryDirectory(prefix="snw-gpu-") as name:
        pep, mhc = pep_receptor(Path(name) / "pep", num_pairs), mhc_binding(Path(name) / "mhc")
        kept: dict[str, list[dict[str, float]]] = {}

        def ours(key: str, data: Input, precision: Literal["fp32", "bf16"]) -> float:
            kept.setdefault(key, []).append(timed("ours", data, 1, steps, "cuda", precision, THREADS))
            say(f"{key}: {kept[key][-1]}")
            return kept[key][-1]["pairs/s"]

        def peer(data: Input, source: str) -> float:
            caps = [data.cap, data.cap]
            return timed("peer", data, 1, max(4, steps // 4), "cuda", threads=THREADS, source=source, caps=caps)[
                "pairs/s"
            ]

        variants = {}
        for title, data in (("pep_receptor", pep), ("mhc_binding", mhc)):
            for precision in PRECISIONS:
                variants[f"{title} {precision}"] = partial(ours, f"{title} {precision}", data, precision)
            for source in ("pt", "h5py"):
                variants[f"{title} {source}"] = partial(peer, data, source)
        rate = medians(rounds, variants)
    return {
        "pairs_per_s": {key: round(value, 1) for key, value in rate.items()},
        "data_wait_share": {key: _median(runs, "wait") for key, runs in kept.items()},
        "save_stall_share": {key: _median(runs, "stall") for key, runs in kept.items()},
    }


def _median(runs: Sequence[dict[str, float]], what: str) -> float:
    return round(float(np.median([run[what] for run in runs])), 4)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--sequences", type=int, default=2048)
    options.add_argument("--pairs", type=int, default=3840, help="of the first input")
    options.add_argument("--steps", type=int, default=60, help="of ours in a round; peers make a quarter of it")
    chosen = options.parse_args()
    keys = {"device": torch.cuda.get_device_name(CUDA), **embedding(chosen.rounds, chosen.sequences)}
    say(str(keys))
    torch.cuda.empty_cache()
    keys |= training(chosen.rounds, chosen.pairs, chosen.steps)
    if not chosen.json:
        show(str(keys["device"]), ["training", "pairs/s"], [[k, f"{v:,.1f}"] for k, v in keys["pairs_per_s"].items()])
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
