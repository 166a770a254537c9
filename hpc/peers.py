"""Notice within seconds that another rank has gone, whatever the collectives do.

gloo does not always tell a rank that waits to send that its peer has gone (measured), and NCCL is known to wait until
its time limit (not measured here). So every rank holds one connection to rank 0 (`hpc.rendezvous` has made it), which
the kernel closes when a process ends, however it ends. A rank that leaves at the end of its work says so first; if one
has gone without a word, rank 0 tells the others which one it was, and a rank that its collective has not freed by then
ends itself, rather than hold a node for nothing.
"""

from __future__ import annotations

import logging
import os
import selectors
import threading
from types import TracebackType

from hpc.channel import Channel
from hpc.errors import Preempted, SnwError

GRACE_S = 10.0
"""A collective that does notice ends its rank in this time, with a message and an outcome."""
_FAREWELL = "farewell"
_NEWS_S = 3.0
log = logging.getLogger(__name__)


class PeerWatch:
    """Context manager around the work of one rank; `connections` by the name of the rank at their other end."""

    def __init__(self, connections: dict[str, Channel], grace_s: float = GRACE_S) -> None:
        self._connections = connections
        self._grace_s = grace_s
        self._gone = ""
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
        elif not isinstance(error, SnwError) and self._noticed.wait(_NEWS_S):
            log.error("%s has gone without a word; see its log", self._gone)
            return  # still on guard: the way out may wait for the dead rank too (NCCL)
        self._finished.set()
        self._thread.join()
        for connection in self._connections.values():
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
                    if said == _FAREWELL:
                        selector.unregister(self._connections[key.data])
                    else:
                        self._gone = self._gone or said or key.data
        for name, connection in self._connections.items():
            if name != self._gone:
                _send(connection, self._gone)
        self._noticed.set()  # not before: a rank 0 that left at once would be taken for the one that has gone
        if not self._finished.wait(self._grace_s):
            log.error("%s has gone without a word; see its log. This rank waits for it and is ended", self._gone)
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
