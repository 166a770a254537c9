"""Notice within seconds that another rank has gone, whatever the collectives do.

gloo does not always tell a rank that waits to send that its peer has gone (measured), and NCCL is known to wait until
its time limit (not measured here). So every rank holds one connection to rank 0, which the kernel closes when a process
ends, however it ends. A rank that leaves at the end of its work says so first; if one has gone without a word, rank 0
tells the others which one it was, and a rank that its collective has not freed by then ends itself, rather than hold a
node for nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType

from torch._C._distributed_c10d import Store

from hpc.errors import EnvironmentProblem, Preempted, SnwError
from hpc.topology import Topology
from hpc.watchdog import watchdog

GRACE_S = 10.0
"""A collective that does notice ends its rank in this time, with a message and an outcome."""
_FAREWELL = "farewell"
_HELLO_S = 5.0
_NEWS_S = 3.0
_HAS_GONE = "has gone without a word; see its log"
log = logging.getLogger(__name__)


class PeerGoneError(Exception):
    """Another rank has ended without a word; what this rank's collectives say of it is only an echo of that."""


class PeerWatch:
    """Context manager around the work of one rank; `connections` by the name of the rank at their other end."""

    def __init__(self, connections: dict[str, socket.socket], grace_s: float = GRACE_S) -> None:
        self._connections = connections
        self._grace_s = grace_s
        self._gone = ""
        self._noticed = threading.Event()
        self._finished = threading.Event()
        self.leave: Callable[[str], None] = log.debug
        """Notes why this rank ends, where nobody else is left to do it."""
        self._thread = threading.Thread(target=self._watch, name="peer-watch", daemon=True)

    def __enter__(self) -> PeerWatch:
        for name, connection in self._connections.items():
            watchdog().watch(name, connection, f"{{who}} {_HAS_GONE}", self._grace_s, _FAREWELL, echo=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Preempted):
            for connection in self._connections.values():
                _send(connection, _FAREWELL)
        # A collective that fails may be a moment ahead of the news of who has gone.
        elif not isinstance(error, SnwError) and self._noticed.wait(_NEWS_S):
            # Still on guard: the way out may wait for the dead rank too (NCCL).
            raise PeerGoneError(f"{self._gone} {_HAS_GONE}") from None
        self._finished.set()
        self._thread.join()
        for name, connection in self._connections.items():
            watchdog().forget(name)
            with contextlib.suppress(OSError):  # the watchdog may still hold it
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            for name, connection in self._connections.items():
                selector.register(connection, selectors.EVENT_READ, name)
            while not self._gone:
                if self._finished.is_set():
                    return
                for key, _ in selector.select(0.2):
                    said = _receive(self._connections[key.data])
                    watchdog().forget(key.data)
                    if said == _FAREWELL:
                        selector.unregister(self._connections[key.data])
                    else:
                        self._gone = self._gone or said or key.data
        watchdog().news("peer", f"{self._gone} {_HAS_GONE}", self._grace_s, echo=True)
        for name, connection in self._connections.items():
            if name != self._gone:
                _send(connection, self._gone)
        self._noticed.set()  # not before: a rank 0 that left at once would be taken for the one that has gone
        if not self._finished.wait(self._grace_s):
            log.error("%s %s. This rank waits for it and is ended", self._gone, _HAS_GONE)
            self.leave(f"{self._gone} {_HAS_GONE}")
            logging.shutdown()
            os._exit(1)


def watch_peers(topology: Topology, store: Store, address: str, deadline_s: float) -> PeerWatch:
    """Connect this rank with the others; `address` is where rank 0 was reached. Raises `EnvironmentProblem`."""
    word = store.get("word").decode()
    if topology.rank == 0:
        connections = _accept_all(store, word, topology.world_size, deadline_s)
    else:
        try:
            connection = socket.create_connection((address, int(store.get("peers"))), deadline_s)
            connection.sendall(f"{word} rank {topology.rank} on {topology.host}\n".encode())
        except (OSError, RuntimeError) as error:  # RuntimeError: of the store, which ends with rank 0
            raise EnvironmentProblem(
                f"rank {topology.rank} cannot reach rank 0 at {address}: {error}. Can the nodes connect by TCP?"
            ) from None
        connections = {f"rank 0 on {store.get('joined/0').decode()}": connection}
    for connection in connections.values():
        _keep_alive(connection)
    return PeerWatch(connections)


def _accept_all(store: Store, word: str, world_size: int, deadline_s: float) -> dict[str, socket.socket]:
    end = time.monotonic() + deadline_s
    connections: dict[str, socket.socket] = {}
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server(("", 0), family=family, backlog=world_size, dualstack_ipv6=both) as listener:
        store.set("peers", str(listener.getsockname()[1]))
        while len(connections) < world_size - 1:
            listener.settimeout(max(0.01, end - time.monotonic()))
            try:
                connection = listener.accept()[0]
            except TimeoutError:
                raise EnvironmentProblem(
                    f"only {', '.join(['rank 0', *connections])} of {world_size} ranks have connected within "
                    f"{deadline_s:.0f} s; see the logs of the others."
                ) from None
            connection.settimeout(_HELLO_S)
            said, _, name = _receive(connection).partition(" ")
            if said == word:
                connections[name] = connection
            else:  # nobody of ours
                connection.close()
    return connections


def _keep_alive(connection: socket.socket) -> None:
    """A node that loses its power closes nothing: the kernel asks after it, and gives up after five minutes."""
    connection.setblocking(True)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 27)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _receive(connection: socket.socket) -> str:
    """One line without its end; empty when the other end has gone."""
    line = b""
    try:
        while not line.endswith(b"\n"):
            part = connection.recv(1)
            if not part:
                return ""
            line += part
    except OSError:
        return ""
    return line[:-1].decode(errors="replace")


def _send(connection: socket.socket, line: str) -> None:
    """What cannot be sent any more need not be: the other end has gone."""
    try:
        connection.sendall(f"{line}\n".encode())
    except OSError:
        log.debug("a peer has gone before it could be told: %s", line)
