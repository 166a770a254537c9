"""Number formats of stored rows, as torch, numpy and Zarr know them.

Zarr has no bfloat16, so its 16 bits are stored as uint16; the logical type is in the attributes.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

LogicalDtype = Literal["float32", "float16", "bfloat16"]
_TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_STORED = {"float32": "<f4", "float16": "<f2", "bfloat16": "<u2"}


def torch_dtype(logical: str) -> torch.dtype:
    """The type in which rows are computed with."""
    return _TORCH[logical]


def stored_dtype(logical: str) -> np.dtype[Any]:
    """The type of the Zarr array."""
    return np.dtype(_STORED[logical])


def fill_value(logical: str) -> Any:
    """NaN in the type of the Zarr array, which is what a row that was never written holds."""
    return as_stored(torch.full((1,), torch.nan, dtype=torch_dtype(logical)))[0].item()


def as_stored(rows: torch.Tensor) -> NDArray[Any]:
    """The same memory [...] as the Zarr array sees it."""
    array: NDArray[Any] = (rows.view(torch.uint16) if rows.dtype == torch.bfloat16 else rows).numpy()
    return array


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The same memory as [bytes]; raises `TypeError` where it is not contiguous, as a copy would be no use."""
    return np.frombuffer(array.data.cast("B"), dtype=np.uint8)


def as_logical(rows: NDArray[Any], logical: str) -> torch.Tensor:
    """The same memory [...] as numbers."""
    tensor = torch.from_numpy(rows)
    return tensor.view(torch.bfloat16) if logical == "bfloat16" else tensor
