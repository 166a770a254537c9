"""Training curves for TensorBoard, written by rank 0; a resumed run hides the steps it repeats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter


class TensorBoard:
    """Scalars under `kind/name`; on other ranks than 0 nothing happens."""

    def __init__(self, folder: Path, step: int, enabled: bool) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step + 1) if enabled else None

    def add(self, kind: str, values: Mapping[str, float | None], step: int) -> None:
        """Add the values that are known."""
        if self._writer is not None:
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write what is buffered."""
        if self._writer is not None:
            self._writer.close()
