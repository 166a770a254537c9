"""Notice within seconds that another rank has gone, whatever the collectives do.

NCCL waits for a dead peer until its time limit, and gloo does not always tell a rank that waits to send (measured). So
every rank holds one connection to rank 0, which the kernel closes when a process ends, however it ends. A rank that
leaves at the end of its work says so first; where one has gone without a word, rank 0 tells the others which one it
was, and a rank that its collective has not freed by then ends itself, rather than hold a node for nothing.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from types import TracebackType

from torch._C._distributed_c10d import Store

from hpc.errors import EnvironmentProblem, Preempted, SnwError
from hpc.topology import Topology

GRACE_S = 10.0
"""A collective that does notice ends its rank in this time, with a message and an outcome."""
_FAREWELL = b"farewell\n"
_HELLO_S = 5.0
log = logging.getLogger(__name__)


class PeerWatch:
    """Context manager around the work of one rank; `connections` by the rank at their other end."""

    def __init__(self, connections: dict[int, socket.socket], hosts: list[str], grace_s: float = GRACE_S) -> None:
        self._connections = connections
        self._hosts = hosts
        self._grace_s = grace_s
        self._gone: int | None = None
        self._noticed = threading.Event()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="peer-watch", daemon=True)

    def __enter__(self) -> PeerWatch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Preempted):
            for connection in self._connections.values():
                _send(connection, _FAREWELL)
        # A collective that fails may be a moment ahead of the news of who has gone.
        elif not isinstance(error, SnwError) and self._noticed.wait(1.0):
            log.error("%s", self._words())
        self._finished.set()
        self._thread.join()
        for connection in self._connections.values():
            connection.close()

    def _words(self) -> str:
        assert self._gone is not None
        return f"rank {self._gone} on {self._hosts[self._gone]} has gone without a word; see its log"

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for rank, connection in self._connections.items():
                selector.register(connection, selectors.EVENT_READ, rank)
            while not self._noticed.is_set():
                if self._finished.is_set():
                    return
                for key, _ in selector.select(0.2):
                    said = _receive(self._connections[key.data])
                    if said == _FAREWELL:
                        selector.unregister(self._connections[key.data])
                    elif self._gone is None:
                        self._gone = int(said) if said else int(key.data)
                        self._noticed.set()
        for rank, connection in self._connections.items():
            if rank != self._gone:
                _send(connection, f"{self._gone}\n".encode())
        if not self._finished.wait(self._grace_s):
            log.error("%s: ending this rank, which waits for it", self._words())
            logging.shutdown()
            os._exit(1)


def watch_peers(topology: Topology, store: Store, address: str, deadline_s: float) -> PeerWatch:
    """Connect this rank with the others; `address` is where rank 0 was reached. Raises `EnvironmentProblem`."""
    hosts = [store.get(f"joined/{rank}").decode() for rank in range(topology.world_size)]
    word = store.get("word")
    if topology.rank == 0:
        connections = _accept_all(store, word, topology.world_size, deadline_s)
    else:
        try:
            connection = socket.create_connection((address, int(store.get("peers"))), deadline_s)
            connection.sendall(b"%s %d\n" % (word, topology.rank))
        except OSError as error:
            raise EnvironmentProblem(
                f"rank {topology.rank} cannot reach rank 0 at {address}: {error}. Can the nodes connect by TCP?"
            ) from None
        connections = {0: connection}
    for connection in connections.values():
        _keep_alive(connection)
    return PeerWatch(connections, hosts)


def _accept_all(store: Store, word: bytes, world_size: int, deadline_s: float) -> dict[int, socket.socket]:
    end = time.monotonic() + deadline_s
    connections: dict[int, socket.socket] = {}
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server(("", 0), family=family, backlog=world_size, dualstack_ipv6=both) as listener:
        store.set("peers", str(listener.getsockname()[1]))
        while len(connections) < world_size - 1:
            listener.settimeout(max(0.0, end - time.monotonic()))
            try:
                connection = listener.accept()[0]
            except OSError:
                missing = sorted(set(range(1, world_size)) - set(connections))
                raise EnvironmentProblem(f"ranks {missing} have not connected; see their logs.") from None
            connection.settimeout(_HELLO_S)
            said = _receive(connection).split()
            if len(said) == 2 and said[0] == word:
                connections[int(said[1])] = connection
            else:  # nobody of ours
                connection.close()
    return connections


def _keep_alive(connection: socket.socket) -> None:
    """A node that loses its power closes nothing: the kernel asks after it, and gives up after a minute."""
    connection.setblocking(True)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _receive(connection: socket.socket) -> bytes:
    """One line; empty when the other end has gone."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            part = connection.recv(1)
            if not part:
                return b""
            line += part
    except OSError:
        return b""
    return line


def _send(connection: socket.socket, line: bytes) -> None:
    """What cannot be sent any more need not be: the other end has gone."""
    try:
        connection.sendall(line)
    except OSError:
        log.debug("a peer has gone before it could be told: %r", line)
