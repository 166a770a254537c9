"""ESM C on one device: its forward pass alone, with fetch, beside transformers, and where its time goes.

Random weights of the 300M shape, in bfloat16; transformers' (its own choice of attention) alike. The forward pass runs
on batches of natural sequences as the job makes them, sorted by length, every batch of another shape: `cold` is the
first pass over them, `warm` the same batches again. With fetch: one sequence in five is a repeat, the rows arrive at
the processor in float16, transformers' too; it gets batches of 16 in file order and sorted, and the same tokens a batch
as ours, sorted. The limit is the best rate of `F.linear` on the model's own shapes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import EsmcTokenizer

from hpc.machine.matrix_rate import matrix_rate
from snw_dist.embedding.encoder import Encoder
from snw_dist.embedding.esmc.batch_size import measured_tokens_per_batch
from snw_dist.embedding.esmc.packed import tokenize
from snw_dist.embedding.esmc.windows import batch_stop
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.weights.reference import sample, transformers_model
from tests.bench.common import say, seconds
from tests.bench.gpu.kernels import kernel_shares
from tests.bench.gpu.scale import Scale, encoder_of, forget, random_weights, wait_for
from tests.bench.natural import natural_sequences

PEER_BATCH, WARM_UP = 16, 64  # sequences
WAYS = ("file_order", "sorted", "by_tokens")


def measure(scale: Scale, place: Path) -> dict[str, Any]:
    """All figures of this part; nothing is kept in `place`."""
    encoder, sequences = encoder_of(scale), natural_sequences(scale.sequences, 0.2)
    limit = matrix_rate(encoder.model.shape.products, scale.place, scale.dtype)
    found: dict[str, Any] = {"gemm_tflops": round(limit / 1e12, 1)}
    found["forward"] = {str(tokens): forward_pass(encoder, scale, tokens, limit) for tokens in scale.tokens}
    say(str(found))
    encoder.tokens_per_batch = measured_tokens_per_batch(encoder.model, 1)
    collection = Collection(encoder, sequences)
    flops = collection.run()
    took = median(seconds(collection.run) for _ in range(scale.repeats))
    found |= {
        "tokens_per_batch": encoder.tokens_per_batch,
        "residues_per_s": round(sum(map(len, sequences)) / took),
        "gemm_share": round(flops / took / limit, 3),
        "kernels": profiled(encoder, scale),
    }
    say(str(found["residues_per_s"]))
    if scale.peers:
        found |= beside_transformers(encoder, scale, sequences, took)
    return found


def natural_batches(tokens: int, most: int, first: int = 0) -> list[list[str]]:
    """Up to `most` batches of about so many tokens, spread over all lengths; each has the lengths of neighbours."""
    ordered = sorted(natural_sequences(1 + most * tokens // 300, 0.0, seed=first + tokens), key=len)
    lengths, batches, start = [len(one) + 2 for one in ordered], [], 0
    while start < len(ordered):
        stop = batch_stop(lengths, start, tokens)
        batches.append(ordered[start:stop])
        start = stop
    return batches[:: max(1, -(-len(batches) // most))]


def forward_pass(encoder: Encoder, scale: Scale, tokens: int, limit: float) -> dict[str, float]:
    """Tokens a second of the forward pass alone, and its share of the limit: on new shapes, and on the same again."""
    inputs = [tokenize(batch) for batch in natural_batches(tokens, scale.passes)]
    for batch in natural_batches(tokens, 2, first=1):  # other shapes
        encoder.model.forward(*tokenize(batch))

    def passes() -> None:
        for batch, lengths in inputs:
            encoder.model.forward(batch, lengths)
        wait_for(scale.place)

    wait_for(scale.place)
    cold, warm = seconds(passes), median(seconds(passes) for _ in range(scale.repeats))
    shape = encoder.model.shape
    flops = sum(shape.flops(lengths, encoder.model.depth) for _, lengths in inputs)
    num_tokens = sum(sum(lengths) for _, lengths in inputs)
    return {
        "tokens_per_batch": round(num_tokens / len(inputs)),
        "cold_tokens_per_s": round(num_tokens / cold),
        "warm_tokens_per_s": round(num_tokens / warm),
        "cold_gemm_share": round(flops / cold / limit, 3),
        "warm_gemm_share": round(flops / warm / limit, 3),
    }


class Collection:
    """Distinct sequences as the embedding job takes them, and where their float16 rows go, which is made once.

    On a GPU that is pinned memory, as in the job: fresh pages would cost more than the copy.
    """

    def __init__(self, encoder: Encoder, sequences: Sequence[str]) -> None:
        plan = plan_embedding(sequences, 10**9, 64)
        on_cuda = encoder.model.device.type == "cuda"
        self._encoder, self._sequences = encoder, plan.sequences
        self._rows = torch.empty(plan.num_residues, encoder.model.row_width, dtype=torch.float16, pin_memory=on_cuda)
        self._rows.zero_()

    def run(self) -> int:
        """Fill the rows; operations."""
        return sum(batch.flops for batch in self._encoder.embed_into(self._rows, self._sequences))


def profiled(encoder: Encoder, scale: Scale) -> dict[str, Any]:
    """Shares of the kernels of one forward pass."""
    batch, lengths = tokenize(natural_batches(scale.profiled_tokens, 1)[0])
    return kernel_shares(partial(encoder.model.forward, batch, lengths), scale.place)


def beside_transformers(encoder: Encoder, scale: Scale, sequences: Sequence[str], took: float) -> dict[str, Any]:
    """How many times slower transformers is, and how far each of both is from transformers in float32."""
    forget(scale.place)
    model = transformers_model(random_weights(scale.shape).weights, scale.place, scale.dtype)
    found: dict[str, Any] = differences(encoder, model, scale, sequences)
    say(str(found))
    for way in WAYS:
        run_transformers(model, sequences[:WARM_UP], way, encoder.tokens_per_batch)
        run = partial(run_transformers, model, sequences, way, encoder.tokens_per_batch)
        found[f"ratio_{way}"] = round(seconds(run) / took, 2)
        say(f"{way}: {found[f'ratio_{way}']}")
    forget(scale.place)
    return found


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
        inputs = tokenizer(batch, return_tensors="pt", padding=True).to(model.device)
        model(**inputs).last_hidden_state.half().cpu()


@torch.inference_mode()
def differences(encoder: Encoder, model: Any, scale: Scale, sequences: Sequence[str]) -> dict[str, float]:
    """From transformers in float32, of ours and of transformers in the same arithmetic: ‖a - b‖ / ‖b‖ over a sample."""
    exact = transformers_model(random_weights(scale.shape).weights, scale.place, torch.float32)
    chosen = sample(sequences)
    tokens, lengths = tokenize(chosen)
    ours = torch.split(encoder.model.forward(tokens, lengths), lengths)
    squares = torch.zeros(3, dtype=torch.float64)
    for own, one in zip(ours, torch.split(tokens, lengths), strict=True):
        ids = one[None].to(scale.place)
        expected, theirs = (network(input_ids=ids).last_hidden_state[0].double() for network in (exact, model))
        parts = (own.double() - expected, theirs - expected, expected)
        squares += torch.stack([part.square().sum() for part in parts]).cpu()
    return {
        "difference": float(f"{(squares[0] / squares[2]).sqrt():.2e}"),
        "difference_transformers": float(f"{(squares[1] / squares[2]).sqrt():.2e}"),
    }
