"""ESM C over a natural collection: ours against the `esm` package and transformers on the same weights.

One sequence in five is a repeat. The peers get batches of 16 in file order, one sequence at a time, and batches
of 16 sorted by length; they return what they return anyway (all layers, logits). All times include tokenizing.
The limit is the best rate of `F.linear` on the model's own matrix shapes at 4,096 tokens, measured between the runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from esm.models.esmc import ESMC
from esm.tokenization import EsmSequenceTokenizer
from transformers import EsmcTokenizer

from hpc.machine.matrix_rate import matrix_rate
from snw_dist.embedding.encoder import Encoder, build_encoder
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.weights.read import LoadedWeights, tiny_random_weights
from snw_dist.embedding.weights.reference import transformers_model
from tests.bench.common import finish, medians, parser, seconds, show
from tests.bench.natural import INNER, WIDTH, natural_sequences

CPU = torch.device("cpu")
BATCH = 16


def esm_model(loaded: LoadedWeights) -> torch.nn.Module:
    """The `esm` package's ESM C with the same weights; its own forward, flash attention off as on every processor."""
    layers = loaded.weights.layers
    model = ESMC(WIDTH, WIDTH // 64, len(layers), EsmSequenceTokenizer(), use_flash_attn=False).eval()
    state = {"embed.weight": loaded.weights.embed, "transformer.norm.weight": loaded.weights.final_norm}
    for i, layer in enumerate(layers):
        attention, mlp = f"transformer.blocks.{i}.attn.", f"transformer.blocks.{i}.ffn."
        state |= {
            f"{attention}layernorm_qkv.0.weight": layer.norm_weight,
            f"{attention}layernorm_qkv.0.bias": layer.norm_bias,
            f"{attention}layernorm_qkv.1.weight": layer.qkv,
            f"{attention}q_ln.weight": layer.q_norm,
            f"{attention}k_ln.weight": layer.k_norm,
            f"{attention}out_proj.weight": layer.out,
            f"{mlp}0.weight": layer.mlp_norm_weight,
            f"{mlp}0.bias": layer.mlp_norm_bias,
            f"{mlp}1.weight": layer.gate_up,
            f"{mlp}3.weight": layer.down,
        }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith("sequence_head") for name in missing), missing
    return model


def batches(sequences: Sequence[str], way: str) -> Iterator[list[str]]:
    """How a peer gets the collection."""
    ordered = sorted(sequences, key=len) if way == "sorted" else list(sequences)
    size = 1 if way == "one_by_one" else BATCH
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


@torch.inference_mode()
def run_esm(model: Any, sequences: Sequence[str], way: str) -> None:
    """The whole collection through the `esm` package."""
    for batch in batches(sequences, way):
        model(model._tokenize(batch))


@torch.inference_mode()
def run_transformers(model: Any, sequences: Sequence[str], way: str) -> None:
    """The whole collection through transformers."""
    tokenizer = EsmcTokenizer()
    for batch in batches(sequences, way):
        model(**tokenizer(batch, return_tensors="pt", padding=True))


def run_ours(encoder: Encoder, sequences: Sequence[str]) -> tuple[torch.Tensor, int]:
    """The whole collection as the embedding job does it: distinct, by length, packed; rows and operations."""
    plan = plan_embedding(sequences, 10**9, 64)
    rows = torch.empty(plan.num_residues, WIDTH)
    return rows, sum(batch.flops for batch in encoder.embed_into(rows, plan.sequences))


@torch.inference_mode()
def largest_difference(encoder: Encoder, model: Any, sequences: Sequence[str]) -> float:
    """Between our rows and those of the `esm` package, one sequence at a time there."""
    plan = plan_embedding(sequences, 10**9, 64)
    rows, _ = run_ours(encoder, sequences)
    expected = (model(model._tokenize([s])).embeddings[0, 1:-1] for s in plan.sequences)
    parts = torch.split(rows, plan.lengths.tolist())
    return max(float((a - b).abs().max()) for a, b in zip(parts, expected, strict=True))


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--sequences", type=int, default=96)
    options.add_argument("--repeats", type=float, default=0.2, help="share of sequences that are repeats")
    options.add_argument("--layers", type=int, default=2)
    options.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    sequences = natural_sequences(chosen.sequences, chosen.repeats)
    loaded = tiny_random_weights(WIDTH, chosen.layers, INNER)
    encoder = build_encoder("esmc-tiny-random", loaded, CPU, "fp32", [-1], "concat", 4096)
    esm, transformers = esm_model(loaded), transformers_model(loaded.weights, CPU, torch.float32)
    flops = run_ours(encoder, sequences)[1]
    ways = ("file_order", "one_by_one", "sorted")
    variants: dict[str, Callable[[], float]] = {"ours": lambda: seconds(lambda: run_ours(encoder, sequences))}
    for way in ways:
        variants[f"esm {way}"] = lambda way=way: seconds(lambda: run_esm(esm, sequences, way))
        variants[f"limit after esm {way}"] = lambda: matrix_rate(encoder.model.shape.products, CPU, torch.float32)
        variants[f"transformers {way}"] = lambda way=way: seconds(
            lambda: run_transformers(transformers, sequences, way)
        )
    variants["ours again"] = variants["ours"]
    variants["limit"] = lambda: matrix_rate(encoder.model.shape.products, CPU, torch.float32)
    found = medians(chosen.rounds, variants)
    limit = float(np.median([value for name, value in found.items() if name.startswith("limit")]))
    ours = (found["ours"] + found["ours again"]) / 2
    residues = sum(map(len, sequences))
    keys: dict[str, Any] = {f"ratio_{way}": round(found[f"esm {way}"] / ours, 3) for way in ways}
    keys["gemm_share"] = round(flops / ours / limit, 3)
    keys["max_abs_diff"] = largest_difference(encoder, esm, sequences)
    keys |= {f"ratio_transformers_{way}": round(found[f"transformers {way}"] / ours, 3) for way in ways}
    keys |= {"residues_per_s": round(residues / ours, 1), "gemm_gflops": round(limit / 1e9, 1)}
    if not chosen.json:
        rows = [["ours", f"{residues / ours:,.0f}", "1.00", f"{flops / ours / limit:.3f}"]]
        for name in (f"{peer} {way}" for peer in ("esm", "transformers") for way in ways):
            rows.append([name, f"{residues / found[name]:,.0f}", f"{found[name] / ours:.2f}", ""])
        title = f"{len(sequences)} sequences, {residues:,} residues, {chosen.layers} layers of {WIDTH}, "
        title += f"{chosen.threads} threads; limit {limit / 1e9:.0f} GFLOP/s"
        show(title, ["", "residues/s", "ours is faster by", "share of the limit"], rows)
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
