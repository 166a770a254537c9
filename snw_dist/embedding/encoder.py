"""From sequences to rows: the encoder of a configuration, with what every result must say about it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from hpc.errors import EnvironmentProblem, InputError
from hpc.machine.transfer import sent
from snw_dist.embedding.esmc.packed import TRAINED_CONTEXT, Combine, PackedEsmc, tokenize
from snw_dist.embedding.esmc.windows import batch_stop, windows
from snw_dist.embedding.weights.read import LoadedWeights, load_weights, tiny_random_weights

WINDOW_OVERLAP = 512
RANDOM_NAME = "esmc-tiny-random"
_NO_MEMORY = ("can't allocate memory", "could not create a")  # torch's allocator; oneDNN's memory or primitive
T = TypeVar("T")
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

    task: int
    """Whose rows these are: the number of the task."""
    ends: bool
    """They are the last ones of their task."""
    residues: int
    """Rows stored."""
    flops: int


@dataclass(frozen=True)
class _Pass:
    """A forward pass that the device has been asked for."""

    batch: Batch
    states: torch.Tensor
    """[kept rows, row_width] on the device."""
    computed: torch.cuda.Event | None


class Encoder:
    """An encoder on its device."""

    def __init__(self, model: PackedEsmc, facts: dict[str, Any], tokens_per_batch: int) -> None:
        self.model = model
        self.facts = facts
        """Name, description, weights, weights_sha256, layers, combine, arithmetic, window; stored with every result."""
        self.tokens_per_batch = tokens_per_batch
        """Halved when a batch does not fit the memory."""
        self.ahead = 1 if model.device.type == "cuda" else 0
        """Passes asked for before the rows of one are waited for: a device that has a queue of work never waits."""
        self._stream = torch.cuda.Stream(model.device) if model.device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def embed(self, sequences: Sequence[str]) -> torch.Tensor:
        """Rows of the residues of `sequences`, one after another: [sum of lengths, row_width] float32."""
        rows = torch.empty(sum(map(len, sequences)), self.model.row_width)
        for _ in self.embed_into(rows, sequences):
            pass
        return rows

    def embed_into(self, rows: torch.Tensor, sequences: Sequence[str]) -> Iterator[Batch]:
        """`embed_tasks` of one task, whose rows are `rows` [sum of lengths, row_width]."""
        return self.embed_tasks([(0, sequences)], lambda: rows)

    def embed_tasks(
        self, tasks: Iterable[tuple[int, Sequence[str]]], rows: Callable[[], torch.Tensor]
    ) -> Iterator[Batch]:
        """Embed one task, a number and sequences, after another; yields whenever the rows of a pass have arrived.

        `rows()` says where those of the present task go, one after another: [its residues or more, row_width] of any
        float type on the CPU. After the last batch of a task it may name another place. On CUDA the next pass is asked
        for before the rows of one are fetched, over the borders of tasks; fetching costs no time in pinned memory.

        Sequences longer than the trained context go through in overlapping windows (`esmc.windows`), so the memory
        needed does not grow with the length. Raises `EnvironmentProblem` when not even one window fits the memory.
        """
        dtype, filled = rows().dtype, 0
        passes = (one for task, sequences in tasks for one in self._passes(task, sequences, dtype))
        for done in _held_back(passes, self.ahead):
            stop = filled + done.batch.residues
            self._fetch(done, rows()[filled:stop])
            filled = 0 if done.batch.ends else stop
            yield done.batch

    def _passes(self, task: int, sequences: Sequence[str], dtype: torch.dtype) -> Iterator[_Pass]:
        """One forward pass after another of a task, not yet waited for."""
        pieces = [
            Piece(sequence[w.start : w.stop], w.keep_start - w.start, w.keep_stop - w.start)
            for sequence in sequences
            for w in windows(len(sequence), TRAINED_CONTEXT - 2, WINDOW_OVERLAP)
        ]
        lengths, start = [len(piece.residues) + 2 for piece in pieces], 0
        while start < len(pieces):
            stop = batch_stop(lengths, start, self.tokens_per_batch)
            states = self._states(pieces[start:stop], dtype)
            if states is None:
                self._halve(pieces[start:stop])
                continue
            flops = self.model.shape.flops(lengths[start:stop], self.model.depth)
            batch = Batch(task, stop == len(pieces), len(states), flops)
            yield _Pass(batch, states, self._mark())
            start = stop

    def _states(self, batch: Sequence[Piece], dtype: torch.dtype) -> torch.Tensor | None:
        """The kept rows of a batch, one after another; None when it does not fit the memory.

        They are rounded to `dtype` on the device, which is less to fetch.
        """
        tokens, lengths = tokenize([piece.residues for piece in batch])
        kept = _kept(batch)
        try:
            states = self.model.forward(tokens, lengths)
            return states[sent(kept, states.device)].to(dtype)
        except (torch.OutOfMemoryError, MemoryError):
            return None
        except RuntimeError as error:  # the allocator for processors has no exception of its own
            if any(words in str(error) for words in _NO_MEMORY):
                return None
            raise

    def _mark(self) -> torch.cuda.Event | None:
        """What the device reaches when it has done all that it was asked for until now."""
        return None if self._stream is None else torch.cuda.current_stream(self.model.device).record_event()

    def _fetch(self, done: _Pass, rows: torch.Tensor) -> None:
        """Bring the rows of a pass to `rows` [kept rows, row_width] and wait for them, but for no later pass."""
        if self._stream is None or done.computed is None:
            rows.copy_(done.states)
            return
        self._stream.wait_event(done.computed)
        with torch.cuda.stream(self._stream):
            rows.copy_(done.states, non_blocking=True)
        # Such a wait leaves the processor to the thread that writes.
        arrived = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        arrived.record(self._stream)
        arrived.synchronize()

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


def _kept(batch: Sequence[Piece]) -> torch.Tensor:
    """Which tokens of a batch are residues to keep: [kept rows] int64."""
    counts = np.array([piece.keep_stop - piece.keep_start for piece in batch])
    tokens = np.array([len(piece.residues) + 2 for piece in batch])
    first = tokens.cumsum() - tokens + 1 + [piece.keep_start for piece in batch]  # the first residue comes after BOS
    return torch.from_numpy(np.arange(counts.sum()) + np.repeat(first - (counts.cumsum() - counts), counts))


def _held_back(items: Iterable[T], count: int) -> Iterator[T]:
    """Each item, as soon as so many more have been taken or there are no more."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


def load_encoder_weights(name: str, weights: str | None, revision: str | None, sha256: str | None) -> LoadedWeights:
    """Weights by encoder name; raises `InputError` when the configuration is contradictory."""
    if name == RANDOM_NAME:
        if weights is not None:
            raise InputError(
                "encoder.weights is given but encoder.name is 'esmc-tiny-random': set encoder.name to 'esmc', or "
                "encoder.weights to null for the small encoder with random weights."
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
        model = PackedEsmc(loaded.on(device), device, dtype, layers, combine)
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
