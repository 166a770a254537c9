"""What is wanted of the figures, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Found = dict[str, Any]


def targets(found: Found) -> dict[str, tuple[float, float]]:
    """For every figure that is there: (measured, at least wanted)."""
    return {name: (round(value, 3), least) for name, value, least in _all(found)}


def _all(found: Found) -> Iterator[tuple[str, float, float]]:
    encoder, job, train = (found.get(part, {}) for part in ("encoder", "job", "train"))
    for tokens, least in (("32768", 0.70), ("4096", 0.45)):
        if tokens in encoder.get("forward", {}):
            yield f"forward at {tokens} tokens, share of GEMM", encoder["forward"][tokens]["cold_gemm_share"], least
    for way, least in (("by_tokens", 3.0), ("file_order", 8.0)):
        if f"ratio_{way}" in encoder:
            yield f"encoder against transformers, {way}", encoder[f"ratio_{way}"], least
    if "difference" in encoder:
        nearer = encoder["difference_transformers"] / max(encoder["difference"], 1e-12)
        yield "difference of transformers from fp32 over ours", nearer, 1.0
    if "share_of_encoder" in job:
        yield "job, share of the encoder", job["share_of_encoder"], 0.9
    for title, rates in train.items():
        if isinstance(rates, dict):
            yield from _of_training(title, rates)


def _of_training(title: str, rates: Found) -> Iterator[tuple[str, float, float]]:
    bf16, fp32 = rates.get("bf16"), rates.get("fp32")
    if bf16 and fp32:
        yield f"{title}: bf16 over fp32, cold", bf16["cold"] / fp32["cold"], 1.0
        yield f"{title}: bf16 over fp32, warm", bf16["warm"] / fp32["warm"], 1.0
    for precision, ours in (("fp32", fp32), ("bf16", bf16)):
        if ours:
            yield f"{title}: {precision}, cold over warm", ours["cold"] / ours["warm"], 0.8
    for peer, least in (("grouped bf16", 0.9), ("padded bf16", 0.9), ("files bf16", 3.0), ("files fp32", 3.0)):
        if bf16 and peer in rates:
            yield f"{title}: bf16 over plain PyTorch, {peer}, warm", bf16["warm"] / rates[peer]["warm"], least
