"""What made a result: encoder weights, input digests, versions, device and number of ranks."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

import torch

from snw_dist.version import __version__

_PACKAGES = ("torch", "deepspeed", "zarr", "numpy", "submitit", "safetensors")
"""submitit is missing where jobs are started without it: in an image, or by a batch script."""


def provenance(
    encoder: Mapping[str, Any], world_size: int, device: torch.device, inputs: Mapping[str, str]
) -> dict[str, Any]:
    """Plain data for `provenance.json`; holds no environment variable, because those may be secrets."""
    return {
        "encoder": dict(encoder),
        "inputs": dict(inputs),
        "num_ranks": world_size,
        "device": str(device.type),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "versions": {"snw-dist": __version__, "python": platform.python_version()}
        | {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
