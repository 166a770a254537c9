"""How many operations a program of torch asks for, as it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class OperationCounter(TorchDispatchMode):
    """Those of matrix products, convolutions and attention; a multiplication and an addition are two.

    By the formulas of `torch.utils.flop_counter`. Its `FlopCounterMode` finds the same, but looks at every call for
    others that it is made of, and into which module it belongs: it takes twice the time.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Let the call happen, and count it."""
        named = kwargs or {}
        result = func(*args, **named)
        formula: Callable[..., int] | None = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **named, out_val=result))
        return result


@contextlib.contextmanager
def counted() -> Iterator[OperationCounter]:
    """Count what is done in here, forward and backward.

    With the plain form of attention, as the fused one of a processor has no formula and would count for nothing.
    """
    with sdpa_kernel(SDPBackend.MATH), OperationCounter() as counter:
        yield counter
