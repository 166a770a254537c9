"""Where the time of a piece of work goes: the shares of its kernels, by torch's profiler."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.profiler import ProfilerActivity, profile

from tests.bench.gpu.scale import wait_for

KINDS: dict[str, tuple[str, ...]] = {
    "attention": ("flash", "fmha", "attention", "attend", "sdpa"),
    "matrix products": ("gemm", "nvjet", "cutlass", "cublas", "xmma", "addmm", "aten::mm", "linear"),
    "rotary embedding": ("rotary", "rotate", "complex"),
    "norms": ("norm", "rowwisemoments"),
    "SwiGLU and other activations": ("swiglu", "silu", "gelu", "sigmoid"),
    "optimiser": ("adam", "multi_tensor", "foreach"),
    "copies and changes of type": ("copy", "memcpy", "memset", "cat", "aten::to", "fill"),
    "elementwise": ("elementwise", "add", "mul", "reduce", "index", "gather", "softmax", "where"),
}
"""A kernel is of the first kind of which a word is in its name."""
LONGEST_NAME = 60


def kind_of(name: str) -> str:
    """What a kernel does, from its name."""
    low = name.lower()
    return next((kind for kind, words in KINDS.items() if any(word in low for word in words)), "other")


def summary(seconds: Mapping[str, float], most: int = 12) -> dict[str, dict[str, float]]:
    """Shares of the whole by kind, and of the longest kernels by name."""
    whole = sum(seconds.values()) or 1.0
    kinds: dict[str, float] = {}
    for name, value in seconds.items():
        kinds[kind_of(name)] = kinds.get(kind_of(name), 0.0) + value / whole
    longest = sorted(seconds, key=lambda name: -seconds[name])[:most]
    return {
        "by_kind": {kind: round(share, 3) for kind, share in sorted(kinds.items(), key=lambda item: -item[1])},
        "longest": {_short(name): round(seconds[name] / whole, 3) for name in longest},
    }


def kernel_shares(work: Callable[[], object], device: torch.device) -> dict[str, dict[str, float]]:
    """`summary` of one run of `work`, which has been warm before; on a processor its operators stand for kernels."""
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CUDA] if on_cuda else [ProfilerActivity.CPU]
    with profile(activities=activities) as profiled:
        work()
        wait_for(device)
    seconds: dict[str, float] = {}
    for event in profiled.key_averages():
        value = event.self_device_time_total if on_cuda else event.self_cpu_time_total
        if value > 0:
            seconds[event.key] = seconds.get(event.key, 0.0) + value / 1e6
    return summary(seconds)


def _short(name: str) -> str:
    plain = name.removeprefix("void ").replace("at::native::", "").replace("(anonymous namespace)::", "")
    return plain if len(plain) <= LONGEST_NAME else plain[:LONGEST_NAME] + "..."
