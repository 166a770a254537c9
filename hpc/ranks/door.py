"""Where rank 0 lets the other ranks in: each proves that it knows the secret of the job, a stranger waits for nothing.

Every connection has a thread and a few seconds of its own, so that one that says nothing, or one byte a second, holds
nobody up (a silent stranger kept rank 0 for a minute where the connections were taken one after another).
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable, Sequence

from hpc.disk.reading import BadFileError, parse_json
from hpc.ranks.channel import Channel, Refused, accept, uid_of_peer

PROOF_S = 5.0
"""A connection that has not proved anything by then is closed."""
_MOST_STRANGERS = 128
_MOST_NAMED = 20
_POLL_S = 0.2
log = logging.getLogger(__name__)
Admit = Callable[[int, str, str, Channel], str]
"""Rank, host and purpose of who has proved itself, and the channel to it, over which it is to be welcomed with an empty
message; returns why it is not wanted, or nothing."""


class Door:
    """Context manager: listens on `addresses`, each at a port that the system picks, until it is closed."""

    def __init__(self, addresses: Sequence[str], secret: bytes, world_size: int, admit: Admit) -> None:
        self._secret, self._admit, self._world_size = secret, admit, world_size
        self._most = 2 * world_size + _MOST_STRANGERS
        self._listeners = [_listener(address, 4 * world_size + _MOST_STRANGERS) for address in addresses]
        self.endpoints = [
            (address, int(each.getsockname()[1])) for address, each in zip(addresses, self._listeners, strict=True)
        ]
        """Addresses and ports."""
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._waiting: dict[socket.socket, threading.Thread] = {}
        self._num_refused = 0
        self._thread = threading.Thread(target=self._listen, name="door", daemon=True)

    def __enter__(self) -> Door:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Nobody comes in any more."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join()
        for listener in self._listeners:
            listener.close()
        with self._lock:
            left = dict(self._waiting)
            self._waiting.clear()
            for connection in left:
                _hang_up(connection)
        for thread in left.values():
            thread.join()

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            for number, listener in enumerate(self._listeners):
                selector.register(listener, selectors.EVENT_READ, number)
            while not self._closed.is_set():
                for key, _ in selector.select(_POLL_S):
                    try:
                        connection = self._listeners[key.data].accept()[0]
                    except OSError as error:  # gone again, or no descriptor is left for it
                        log.warning("a connection could not be taken: %s", error)
                        self._closed.wait(0.05)
                        continue
                    self._make_room()
                    thread = threading.Thread(target=self._ask, args=(connection,), name="door-ask", daemon=True)
                    with self._lock:
                        self._waiting[connection] = thread
                    thread.start()

    def _make_room(self) -> None:
        """Whoever opens more connections than there can be ranks loses the oldest; a rank tries again."""
        with self._lock:
            oldest = next(iter(self._waiting)) if len(self._waiting) >= self._most else None
            if oldest is not None:
                del self._waiting[oldest]
                _hang_up(oldest)

    def _ask(self, connection: socket.socket) -> None:
        try:
            claim, channel = accept(connection, self._secret, PROOF_S)
            with self._lock:
                in_time = self._waiting.pop(connection, None) is not None
            if not in_time:
                raise Refused("the door is closed")
            problem = self._judge(claim, channel)
            if problem:
                channel.send(problem.encode())
                raise Refused(problem)
        except OSError as error:
            self._name(connection, error)
            _hang_up(connection)
            connection.close()
        finally:
            with self._lock:
                self._waiting.pop(connection, None)

    def _judge(self, claim: bytes, channel: Channel) -> str:
        """Why a claim is refused; one that is not is answered by whoever takes the channel."""
        try:
            values = parse_json(claim, "claim")
            rank, host, purpose = int(values["rank"]), str(values["host"]), str(values["purpose"])
        except (BadFileError, LookupError, TypeError, ValueError):
            return "the claim cannot be read"
        if not 0 < rank < self._world_size:
            return f"there is no rank {rank} among {self._world_size}"
        return self._admit(rank, host, purpose, channel)

    def _name(self, connection: socket.socket, error: OSError) -> None:
        with self._lock:
            self._num_refused += 1
            number = self._num_refused
        if number > _MOST_NAMED:
            return
        try:
            address, port = connection.getpeername()[:2]
            uid = uid_of_peer(connection)
        except OSError:
            address, port, uid = "an address that is gone", 0, None
        who = "" if uid is None else f", uid {uid}"
        why = str(error) if isinstance(error, Refused) else f"no proof of this job within {PROOF_S:.0f} s: {error}"
        log.warning("refused a connection from %s port %d%s: %s", address, port, who, why)
        if number == _MOST_NAMED:
            log.warning("further refused connections are not named")


def _listener(address: str, backlog: int) -> socket.socket:
    """`address` may be empty: then all of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    both = not address and socket.has_dualstack_ipv6()
    listener = socket.create_server(
        (address, 0), family=socket.AF_INET6 if both else family, backlog=backlog, dualstack_ipv6=both
    )
    listener.setblocking(False)
    return listener


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        log.debug("a refused connection was closed already")
