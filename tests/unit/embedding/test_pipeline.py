"""Passes of one task after those of another without a gap; on a processor the queue of a GPU is only asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch

from snw_dist.embedding.encoder import Encoder, build_encoder
from snw_dist.embedding.esmc.packed import PackedEsmc
from snw_dist.embedding.weights.read import tiny_random_weights
from tests.kit.embedding_tools import random_sequences

CPU = torch.device("cpu")
LOADED = tiny_random_weights(d_model=64, num_layers=1, intermediate=64)
TASKS = [(7, random_sequences([40, 41, 90])), (3, random_sequences([5, 2100])), (9, random_sequences([8]))]


def encoder_of(tokens: int, ahead: int) -> Encoder:
    encoder = build_encoder("esmc-tiny-random", LOADED, CPU, "fp32", [-1], "concat", tokens)
    encoder.ahead = ahead
    return encoder


@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("tokens", [64, 100, 5000])
def test_every_task_gets_its_rows(ahead: int, tokens: int) -> None:
    encoder = encoder_of(tokens, ahead)
    buffers = [torch.full((2200, 64), torch.nan) for _ in range(2)]
    found: list[tuple[int, torch.Tensor]] = []
    num_rows = 0
    for batch in encoder.embed_tasks(iter(TASKS), lambda: buffers[0]):
        num_rows += batch.residues
        if batch.ends:  # as a writer does: the filled one is taken away, and the other one is filled from now on
            assert not buffers[0][:num_rows].isnan().any()
            assert buffers[0][num_rows:].isnan().all()
            found.append((batch.task, buffers[0][:num_rows].clone()))
            buffers[0].fill_(torch.nan)
            buffers.reverse()
            num_rows = 0
    assert [task for task, _ in found] == [7, 3, 9]
    for (_, sequences), (_, rows) in zip(TASKS, found, strict=True):
        assert torch.equal(rows, encoder.embed(sequences))


def test_the_next_task_has_begun_before_the_last_rows_of_one_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    forward = PackedEsmc.forward

    def counted(self: PackedEsmc, tokens: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
        asked.append(len(lengths))
        return forward(self, tokens, lengths)

    monkeypatch.setattr(PackedEsmc, "forward", counted)

    def taken() -> Iterator[tuple[int, Sequence[str]]]:
        for number in range(4):
            seen.append(number)
            yield number, ["ACDEF"]

    rows = torch.empty(5, 64)
    for ahead in (0, 1):
        seen: list[int] = []
        asked.clear()
        for batch in encoder_of(64, ahead).embed_tasks(taken(), lambda: rows):
            assert len(asked) == len(seen) == min(batch.task + 1 + ahead, 4)
