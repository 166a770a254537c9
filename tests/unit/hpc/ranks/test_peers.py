"""The connections of the watch by themselves; what they are for is in `tests/faults/test_ranks.py`."""

from __future__ import annotations

import secrets
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from hpc.errors import InputError, Preempted
from hpc.ranks.channel import Channel
from hpc.ranks.peers import PeerGoneError, PeerWatch

KEY = secrets.token_bytes(32)


def connected(world_size: int) -> list[PeerWatch]:
    of_rank_0, others = {}, []
    for rank in range(1, world_size):
        ends = socket.socketpair()
        of_rank_0[f"rank {rank} on node{rank}"] = Channel(ends[0], KEY, b"rank 0", b"rank")
        others.append({"rank 0 on node0": Channel(ends[1], KEY, b"rank", b"rank 0")})
    # nothing here may end the process of the tests
    return [PeerWatch(connections, grace_s=3600.0) for connections in (of_rank_0, *others)]


@pytest.mark.parametrize("error", [None, Preempted("asked to")])
def test_ranks_that_leave_in_order_are_not_missed(error: Preempted | None, caplog: pytest.LogCaptureFixture) -> None:
    watches = connected(3)
    for watch in watches:
        watch.__enter__()
    for watch in (watches[1], watches[0]):
        watch.__exit__(error and type(error), error, None)
    time.sleep(0.5)
    assert not watches[2]._gone
    watches[2].__exit__(None, None, None)
    assert not caplog.records


def test_all_learn_who_has_gone() -> None:
    watches = connected(4)
    for watch in watches:
        watch.__enter__()
    [connection] = watches[2]._connections.values()
    connection.shutdown()  # as the kernel does for a process that has died
    failed = RuntimeError("Connection closed by peer")

    def leave(rank: int) -> str:
        with pytest.raises(PeerGoneError) as caught:
            watches[rank].__exit__(RuntimeError, failed, None)
        return str(caught.value)

    with ThreadPoolExecutor(3) as pool:
        said = list(pool.map(leave, (0, 1, 3)))
    assert said == ["rank 2 on node2 has gone without a word; see its log"] * 3
    assert all(watches[rank]._thread.is_alive() for rank in (0, 1, 3)), "on guard until the process ends"
    for watch in watches:
        watch.__exit__(InputError, InputError(""), None)
    assert not any(watch._thread.is_alive() for watch in watches)
