"""The export of the best weights of a run, while it is trained and once it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from hpc.save.fence import Fence
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.predict.export import write_export
from snw_dist.predict.tuned_encoder import network_of
from snw_dist.train.identity import Identity
from snw_dist.train.progress import Progress
from snw_dist.train.remake import known, lost_export, validation_at, weights_of
from snw_dist.trained_run.watched import METRICS


class BestWeights:
    """Where the export is written; all methods are for rank 0."""

    def __init__(self, identity: Identity, header: StoreHeader, encoder: Mapping[str, Any], fence: Fence) -> None:
        """`encoder`: what the export must say of an encoder that is trained too; see `network_of`."""
        self._identity, self._config, self._header = identity, identity.config, header
        self._encoder, self._fence = encoder, fence

    def write(self, weights: Mapping[str, torch.Tensor], step: int, auroc: float, loss: float) -> None:
        """The best so far are those of this step; `weights` by name, each [...] of its parameter's shape."""
        self._write(weights, known(auroc=auroc, loss=loss), step, self._identity.provenance)

    def mend(self, progress: Progress) -> None:
        """A finished run has its export, also when it was lost since: then it is made again, without training."""
        found = lost_export(self._config.run_folder, progress)
        if found is not None:
            weights = weights_of(found, network_of(self._config, self._header)[0], self._config.train.precision)
            values = validation_at(self._config.run_folder / METRICS, found.step)
            self._write(weights, values, found.step, found.meta["provenance"])

    def _write(
        self, weights: Mapping[str, torch.Tensor], values: Mapping[str, float | None], step: int, provenance: Any
    ) -> None:
        self._fence.check()
        facts = {"step": step, "validation": dict(values), "provenance": provenance, **self._encoder}
        write_export(self._config.run_folder / "export", weights, self._config.model, self._header, facts)
