"""From sequences to rows: the encoder of a configuration, with what every result must say about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from hpc.errors import EnvironmentProblem, InputError
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT, Combine, PackedEsmc, tokenize
from snw_dist.embedding.esmc.windows import batch_stop, windows
from snw_dist.embedding.weights.read import LoadedWeights, load_weights, tiny_random_weights

WINDOW_OVERLAP = 512
RANDOM_NAME = "esmc-tiny-random"
_NO_MEMORY = ("can't allocate memory", "could not create a")  # torch's allocator; oneDNN's memory or primitive
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Residues that go through the encoder together, and which of its rows are kept."""

    residues: str
    keep_start: int
    keep_stop: int


@dataclass(frozen=True)
class Batch:
    """What one forward pass did."""

    residues: int
    """Rows stored."""
    flops: int


class Encoder:
    """An encoder on its device."""

    def __init__(self, model: PackedEsmc, facts: dict[str, Any], tokens_per_batch: int) -> None:
        self.model = model
        self.facts = facts
        """Name, description, weights, weights_sha256, layers, combine, arithmetic, window; stored with every result."""
        self.tokens_per_batch = tokens_per_batch
        """Halved when a batch does not fit the memory."""
        self._stream = torch.cuda.Stream(model.device) if model.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def embed(self, sequences: Sequence[str]) -> torch.Tensor:
        """Rows of the residues of `sequences`, one after another: [sum of lengths, row_width] float32."""
        rows = torch.empty(sum(map(len, sequences)), self.model.row_width)
        for _ in self.embed_into(rows, sequences):
            pass
        return rows

    def embed_into(self, rows: torch.Tensor, sequences: Sequence[str]) -> Iterator[Batch]:
        """Fill `rows` [sum of lengths, row_width], of any float type on the CPU; yields after each forward pass.

        Sequences longer than the trained context go through in overlapping windows (`esmc.windows`), so the memory
        needed does not grow with the length. Raises `EnvironmentProblem` when not even one window fits the memory.
        """
        pieces = [
            Piece(sequence[w.start : w.stop], w.keep_start - w.start, w.keep_stop - w.start)
            for sequence in sequences
            for w in windows(len(sequence), TRAINED_CONTEXT - 2, WINDOW_OVERLAP)
        ]
        filled, queued = 0, None
        for states, batch in self._passes(pieces, rows.dtype):
            fetched = _Fetched(states, self._stream)
            if queued is not None:
                filled += queued[0].store(rows, filled)
                yield queued[1]
            queued = fetched, batch
        if queued is not None:
            queued[0].store(rows, filled)
            yield queued[1]

    def _passes(self, pieces: Sequence[Piece], dtype: torch.dtype) -> Iterator[tuple[torch.Tensor, Batch]]:
        """The kept rows of one forward pass after another."""
        lengths, start = [len(piece.residues) + 2 for piece in pieces], 0
        while start < len(pieces):
            stop = batch_stop(lengths, start, self.tokens_per_batch)
            states = self._states(pieces[start:stop], dtype)
            if states is None:
                self._halve(pieces[start:stop])
                continue
            yield states, Batch(len(states), self.model.shape.flops(lengths[start:stop], self.model.depth))
            start = stop

    def _states(self, batch: Sequence[Piece], dtype: torch.dtype) -> torch.Tensor | None:
        """The kept rows of a batch, one after another; None when it does not fit the memory.

        They are rounded to `dtype` on the device, which is less to fetch.
        """
        tokens, lengths = tokenize([piece.residues for piece in batch])
        starts = np.cumsum([1, *lengths[:-1]])  # the first residue comes after BOS
        kept = [np.arange(p.keep_start, p.keep_stop) + start for p, start in zip(batch, starts, strict=True)]
        try:
            states = self.model.forward(tokens, lengths)
            return states[torch.from_numpy(np.concatenate(kept)).to(states.device)].to(dtype)
        except (torch.OutOfMemoryError, MemoryError):
            return None
        except RuntimeError as error:  # the allocator for processors has no exception of its own
            if any(words in str(error) for words in _NO_MEMORY):
                return None
            raise

    def _halve(self, batch: Sequence[Piece]) -> None:
        """Called outside the `except` clause: its traceback holds on to the tensors of the failed pass."""
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        tokens = sum(len(piece.residues) + 2 for piece in batch)
        if len(batch) == 1:
            raise EnvironmentProblem(
                f"out of memory with a single sequence of {tokens - 2} residues ({batch[0].residues[:20]}...) on "
                f"{self.model.device}: give a rank more memory, or use fewer ranks a node."
            )
        self.tokens_per_batch = tokens // 2
        log.warning("out of memory with %d tokens in a batch: going on with %d", tokens, self.tokens_per_batch)


class _Fetched:
    """Rows on their way to the processor: on CUDA in a stream of their own, while the next pass is computed."""

    def __init__(self, states: torch.Tensor, stream: torch.cuda.Stream | None) -> None:
        self._rows, self._arrived = states, None
        if stream is not None:
            stream.wait_stream(torch.cuda.current_stream(states.device))
            with torch.cuda.stream(stream):
                self._rows = torch.empty(states.shape, dtype=states.dtype, pin_memory=True)
                self._rows.copy_(states, non_blocking=True)
                self._arrived = stream.record_event()
            states.record_stream(stream)

    def store(self, rows: torch.Tensor, first: int) -> int:
        """Put them into `rows` from row `first` on; how many there are."""
        if self._arrived is not None:
            self._arrived.synchronize()
        rows[first : first + len(self._rows)] = self._rows
        return len(self._rows)


def load_encoder_weights(name: str, weights: str | None, revision: str | None, sha256: str | None) -> LoadedWeights:
    """Weights by encoder name; raises `InputError` when the configuration is contradictory."""
    if name == RANDOM_NAME:
        if weights is not None:
            raise InputError(
                "encoder.weights is given but encoder.name is 'esmc-tiny-random': set encoder.name to 'esmc'."
            )
        return tiny_random_weights()
    if weights is None:
        raise InputError(
            "encoder.name is 'esmc' but encoder.weights is not given: a .pth file, a transformers folder or a hub id."
        )
    return load_weights(weights, revision, sha256)


def build_encoder(
    name: str,
    loaded: LoadedWeights,
    device: torch.device,
    precision: Literal["auto", "fp32", "bf16"],
    layers: Sequence[int],
    combine: Combine,
    tokens_per_batch: int,
) -> Encoder:
    """Put the weights on a device; `auto` computes in bf16 on CUDA and in fp32 on a CPU (bf16 is slow there).

    Raises `InputError` where the encoder has no such layers.
    """
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" else "fp32"
    try:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        model = PackedEsmc(loaded.weights, device, dtype, layers, combine)
    except ValueError as error:
        raise InputError(f"encoder.layer: {error}") from None
    random = name == RANDOM_NAME
    shape = model.shape
    facts = {
        "name": name,
        "description": f"ESM C, {shape.num_layers} layers of {shape.d_model}, "
        + ("RANDOM weights (demonstration)" if random else loaded.source),
        "weights": loaded.source,
        "weights_sha256": loaded.sha256,
        "layers": model.layers,
        "combine": combine,
        "arithmetic": precision,
        "window_residues": TRAINED_CONTEXT - 2,
        "window_overlap": WINDOW_OVERLAP,
    }
    return Encoder(model, facts, tokens_per_batch)
