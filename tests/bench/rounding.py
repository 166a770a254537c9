"""What each number format of the store costs in exactness, and what 8-bit rows with a scale each would cost.

Rows of an ESM C of the 300M width with random weights, as they are, and with one channel 30 times as large as the rest:
outlying channels of that size are known from language models (Dettmers et al., LLM.int8(), 2022). The error is the root
mean square over the ordinary channels, relative to theirs.
"""

from __future__ import annotations

import torch

from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.weights.read import tiny_random_weights
from tests.bench.common import finish, parser, show
from tests.bench.embed import CPU
from tests.bench.natural import INNER, WIDTH, natural_sequences


def int8(rows: torch.Tensor) -> torch.Tensor:
    """Rounded to 8 bits with the largest value of each row as its scale."""
    scale = rows.abs().amax(dim=1, keepdim=True) / 127
    return (rows / scale).round() * scale


def main() -> None:
    """Measure and print."""
    chosen = parser(__doc__ or "").parse_args()
    encoder = build_encoder("esmc-tiny-random", tiny_random_weights(WIDTH, 2, INNER), CPU, "fp32", [-1], "concat", 4096)
    plain = encoder.embed(natural_sequences(20, 0.0))
    outlying = plain.clone()
    outlying[:, 0] *= 30
    formats = {"float16": torch.Tensor.half, "bfloat16": torch.Tensor.bfloat16, "int8, a scale a row": int8}
    keys: dict[str, float] = {}
    for name, rounded in formats.items():
        for kind, rows in (("plain", plain), ("one outlying channel", outlying)):
            ordinary = slice(1, None)
            error = (rounded(rows).float() - rows)[:, ordinary].square().mean().sqrt()
            keys[f"{name}, {kind}"] = round(float(error / rows[:, ordinary].square().mean().sqrt()), 6)
    if not chosen.json:
        show("Relative error", ["format, rows", "error"], [[name, f"{value:.2%}"] for name, value in keys.items()])
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
