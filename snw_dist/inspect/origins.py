"""Which parts of a network a tensor was made by, followed through every operation of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

Source = int | str
"""Number of a call, see `trace.Call`, or the side whose embeddings go in."""
NOWHERE: frozenset[Source] = frozenset()


class Origins(TorchFunctionMode):
    """While it is on, what comes out of an operation has the sources of all that goes in."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[torch.Tensor, frozenset[Source]]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each operation."""
        found = func(*args, **(kwargs or {}))
        sources = self.of((args, kwargs))
        if sources:
            self.put(found, sources)
        return found

    def put(self, tensors: Any, sources: frozenset[Source]) -> None:
        """From here on all tensors in `tensors`, nested as they are, are made by these."""
        for tensor in tensors_in(tensors):
            self._known[id(tensor)] = tensor, sources  # the tensor too: an id is free again once it is gone

    def of(self, tensors: Any) -> frozenset[Source]:
        """What made them, together."""
        return NOWHERE.union(*(self._known.get(id(tensor), (None, NOWHERE))[1] for tensor in tensors_in(tensors)))


def tensors_in(nested: Any) -> list[torch.Tensor]:
    """All tensors in tuples, lists and dicts, [...] as they are."""
    return [leaf for leaf in tree_leaves(nested) if isinstance(leaf, torch.Tensor)]
