"""The arithmetic of the benchmark of communication; its measurement is run by hand."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist

from tests.bench.communication import Counter, Volume, bytes_sent, expected_bytes, rounds, seconds_sending, share_sent

RING = 100


def sent_by_a_ring(kind: str, ranks: int) -> int:
    """Count it out: a buffer of RING * ranks bytes in as many pieces; each rank sends a piece in each round."""
    pieces = {"reduce_scatter": ranks - 1, "all_gather": ranks - 1, "all_reduce": 2 * (ranks - 1)}
    return pieces[kind] * RING


@pytest.mark.parametrize("ranks", [1, 2, 3, 64])
@pytest.mark.parametrize("kind", ["all_reduce", "reduce_scatter", "all_gather"])
def test_a_ring_sends_a_piece_a_round(kind: str, ranks: int) -> None:
    assert share_sent(kind, ranks) * RING * ranks == pytest.approx(sent_by_a_ring(kind, ranks))
    assert rounds(kind, ranks) * RING == sent_by_a_ring(kind, ranks)


def test_the_seconds_are_those_of_the_bytes_and_of_the_rounds() -> None:
    volumes = {"all_reduce": Volume(2, 1000), "all_gather": Volume(1, 400)}
    assert bytes_sent(volumes, 4) == 2 * 0.75 * 1000 + 0.75 * 400
    assert seconds_sending(volumes, 4, 100.0, 0.5) == 18.0 + (2 * 6 + 3) * 0.5
    assert seconds_sending(volumes, 1, 100.0, 0.5) == 0


def test_what_zero_is_said_to_send() -> None:
    assert [expected_bytes(stage, 10, 2) for stage in (0, 1, 2, 3)] == [20, 40, 40, 60]


def test_collectives_are_counted_by_their_whole_buffers() -> None:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        whole, part = torch.ones(6), torch.ones(6, dtype=torch.float64)
        with Counter() as counter:
            dist.all_reduce(whole)
            dist.all_reduce(part)
            dist.all_gather([torch.empty(6)], whole)
            dist.broadcast(whole, 0)
            whole.add_(1)
    finally:
        dist.destroy_process_group()
    assert counter.found == {
        "all_reduce": Volume(2, 6 * 4 + 6 * 8),
        "all_gather": Volume(1, 24),
        "broadcast": Volume(1, 24),
    }
