"""The connections of the watch by themselves; what they are for is in `tests/faults/test_ranks.py`."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch._C._distributed_c10d import HashStore

from hpc.errors import EnvironmentProblem, InputError, Preempted
from hpc.peers import PeerGoneError, PeerWatch, watch_peers
from hpc.topology import Topology


def store() -> HashStore:
    shared = HashStore()
    shared.set("word", "ours")
    shared.set("joined/0", "node0")
    return shared


def topology(rank: int, world_size: int) -> Topology:
    return Topology(rank, world_size, local_world_size=world_size, host=f"node{rank}")


def connected(world_size: int) -> list[PeerWatch]:
    shared = store()
    with ThreadPoolExecutor(world_size) as pool:
        ranks = [topology(rank, world_size) for rank in range(world_size)]
        watches = list(pool.map(lambda rank: watch_peers(rank, shared, "127.0.0.1", 10.0), ranks))
    for watch in watches:
        watch._grace_s = 3600.0  # nothing here may end the process of the tests
    return watches


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
    connection.shutdown(socket.SHUT_RDWR)  # as the kernel does for a process that has died
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


def test_somebody_else_at_the_door_is_sent_away() -> None:
    shared = store()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(watch_peers, topology(0, 2), shared, "127.0.0.1", 10.0)
        with socket.create_connection(("127.0.0.1", int(shared.get("peers")))) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\n")
            assert stranger.recv(1) == b""
        with watch_peers(topology(1, 2), shared, "127.0.0.1", 10.0) as second, first.result():
            assert list(first.result()._connections) == ["rank 1 on node1"]
            assert list(second._connections) == ["rank 0 on node0"]


def test_a_rank_that_does_not_connect_is_not_waited_for() -> None:
    with pytest.raises(EnvironmentProblem, match="only rank 0 of 3 ranks have connected within 0 s"):
        watch_peers(topology(0, 3), store(), "127.0.0.1", 0.2)


def test_rank_0_that_has_gone_is_said() -> None:
    shared = store()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shared.set("peers", str(listener.getsockname()[1]))
    with pytest.raises(EnvironmentProblem, match=r"rank 1 cannot reach rank 0 at 127\.0\.0\.1: "):
        watch_peers(topology(1, 2), shared, "127.0.0.1", 2.0)
