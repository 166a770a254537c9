"""How many tokens go through the encoder at once, from measured memory."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from hpc.disk.files import publish_once
from hpc.disk.reading import read_small
from hpc.machine.memory import available_bytes, peak_bytes
from hpc.ranks.communicator import Communicator
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT, PackedEsmc, tokenize

MOST_TOKENS = {"cpu": 4096, "cuda": 65536}
"""Larger batches were not faster on a processor; on CUDA this many keep every kernel busy at all widths."""
_PROBES = (1, 3)  # windows of the trained context
_SHARE = 0.6
"""Of the free memory: the probe does not see fragmentation, nor what else the node begins to do."""
log = logging.getLogger(__name__)


def measured_tokens_per_batch(model: PackedEsmc, num_sharing: int) -> int:
    """Largest batch that fits this rank's share of the free memory of its device, in tokens.

    Two probes of different size give the bytes of a token; `num_sharing` ranks use the same memory.
    """

    def probe(num_windows: int) -> int:
        tokens, lengths = tokenize(["A" * (TRAINED_CONTEXT - 2)] * num_windows)
        return peak_bytes(lambda: model.forward(tokens, lengths), model.device)

    probe(1)  # the first pass allocates what is kept
    small, large = (probe(count) for count in _PROBES)
    per_token = max(1, (large - small) // ((_PROBES[1] - _PROBES[0]) * TRAINED_CONTEXT))
    tokens = tokens_for(available_bytes(model.device) // num_sharing, per_token, MOST_TOKENS[model.device.type])
    log.info("%d bytes a token measured: batches of %d tokens", per_token, tokens)
    return tokens


def agreed_tokens_per_batch(model: PackedEsmc, comm: Communicator, num_sharing: int, folder: Path) -> int:
    """Collective: what fits on every rank; measured once for a store, so that a resumed job makes the same batches.

    `folder` keeps the number while the store is being filled.
    """
    measured = -comm.max(-measured_tokens_per_batch(model, num_sharing))
    file = folder / "tokens_per_batch"

    def settle() -> int:
        # Damaged, or gone because another job has just completed the part: then there is nothing to agree with.
        with contextlib.suppress(ValueError, FileNotFoundError):
            publish_once(file, str(measured).encode())
            if (found := int(read_small(file, 64))) > 0:
                return min(measured, found)
        return measured

    return comm.on_rank_0(settle)


def tokens_for(free_bytes: int, bytes_per_token: int, most: int) -> int:
    """Tokens that fit, a multiple of 256 from one window up to `most`."""
    fit = int(_SHARE * free_bytes) // bytes_per_token // 256 * 256
    return max(TRAINED_CONTEXT, min(most, fit))
