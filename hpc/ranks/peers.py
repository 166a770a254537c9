"""Notice within seconds that another rank has gone, whatever the collectives do.

gloo does not always tell a rank that waits to send that its peer has gone (measured), and NCCL is known to wait until
its time limit (not measured here). So every rank holds one connection to rank 0 (`hpc.ranks.rendezvous` has made it),
which the kernel closes when a process ends, however it ends. A rank that leaves at the end of its work says so first;
if one has gone without a word, rank 0 tells the others which one it was, and a rank that its collective has not freed
by then ends itself, rather than hold a node for nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import threading
from collections.abc import Callable
from types import TracebackType

from hpc.errors import Preempted, SnwError
from hpc.ranks.channel import HEADER_BYTES, Channel
from hpc.ranks.watchdog import watchdog

GRACE_S = 10.0
"""A collective that does notice ends its rank in this time, with a message and an outcome."""
_FAREWELL = "farewell"
_NEWS_S = 3.0
_HAS_GONE = "has gone without a word; see its log"
log = logging.getLogger(__name__)


class PeerGoneError(Exception):
    """Another rank has ended without a word; what this rank's collectives say of it is only an echo of that."""


class PeerWatch:
    """Context manager around the work of one rank; `connections` by the name of the rank at their other end."""

    def __init__(self, connections: dict[str, Channel], grace_s: float = GRACE_S) -> None:
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
            why = f"{{who}} {_HAS_GONE}"
            watchdog().watch(name, connection.fileno(), why, self._grace_s, HEADER_BYTES, _FAREWELL, echo=True)
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
                connection.shutdown()
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


def _receive(channel: Channel) -> str:
    """What the other end says; empty when it has gone."""
    try:
        return channel.receive().decode(errors="replace")
    except OSError:
        return ""


def _send(channel: Channel, text: str) -> None:
    """What cannot be sent any more need not be: the other end has gone."""
    try:
        channel.send(text.encode())
    except OSError:
        log.debug("a peer has gone before it could be told: %s", text)
