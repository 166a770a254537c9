"""A connection between two ranks that have both proved to know the secret of their job; every message is sealed.

The proof is a keyed digest (HMAC-SHA256) of two fresh random numbers, one of either side: nothing that a stranger has
heard or sent helps him, and the secret itself is never sent. A rank that connects asks for the proof first, so that it
tells nothing to a false rank 0.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import socket
import struct
import time
from pathlib import Path

SECRET_BYTES = 32
MOST_BYTES = 16 * 2**20
"""What one message has at most."""
_GREETING = b"snw-dist rank 1\n"
_MOST_CLAIM = 1024
_MAC_BYTES = 32
HEADER_BYTES = 4 + _MAC_BYTES
"""What stands before the content of a message: its length, big-endian, and its seal."""


class Refused(ConnectionError):
    """The other end has not proved to be of this job, or has said why it does not want this one."""


def seal(secret: bytes, *parts: bytes) -> bytes:
    """Keyed digest of `parts`, each of which counts with its length."""
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for part in parts:
        digest.update(struct.pack("!Q", len(part)) + part)
    return digest.digest()


class Channel:
    """Messages over a socket: length, seal, content. One thread may send and one receive at a time."""

    def __init__(self, connection: socket.socket, key: bytes, own: bytes, theirs: bytes) -> None:
        self._connection, self._key = connection, key
        self._own, self._theirs = own, theirs
        self._sent = self._received = 0

    def fileno(self) -> int:
        """Of the socket, for selectors."""
        return self._connection.fileno()

    @property
    def address(self) -> str:
        """Of the other end."""
        return str(self._connection.getpeername()[0])

    def send(self, message: bytes) -> None:
        """Raises `OSError` when the other end has gone."""
        sealed = seal(self._key, self._own, struct.pack("!Q", self._sent), message)
        self._sent += 1
        self._connection.sendall(struct.pack("!I", len(message)) + sealed + message)

    def receive(self, limit_s: float | None = None) -> bytes:
        """Raises `OSError` when the other end has gone or the message is not there in `limit_s`.

        Raises `Refused` when the message is too long or not the other end's own.
        """
        end = None if limit_s is None else time.monotonic() + limit_s
        [size] = struct.unpack("!I", _exactly(self._connection, 4, end))
        if size > MOST_BYTES:
            raise Refused(f"a message of {size:,} bytes")
        sealed = _exactly(self._connection, _MAC_BYTES, end)
        message = _exactly(self._connection, size, end)
        if not hmac.compare_digest(sealed, seal(self._key, self._theirs, struct.pack("!Q", self._received), message)):
            raise Refused("a message without the seal of the job")
        self._received += 1
        return message

    def keep_alive(self) -> None:
        """A node that loses its power closes nothing: the kernel asks after it, and gives up after five minutes."""
        self._connection.settimeout(None)
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 27)):
            if hasattr(socket, name):
                self._connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def is_gone(self) -> bool:
        """The other end has closed the connection."""
        try:
            return not self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def shutdown(self) -> None:
        """Both ends learn of it, also one that waits."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the socket back."""
        self._connection.close()


def connect(address: str, port: int, secret: bytes, claim: bytes, limit_s: float) -> Channel:
    """Reach rank 0, have it prove itself, and prove oneself with `claim`, which says who one is.

    Raises `Refused`, which gives its reason, or another `OSError`; never takes much longer than `limit_s`.
    """
    end = time.monotonic() + limit_s
    connection = socket.create_connection((address, port), limit_s)
    try:
        own = secrets.token_bytes(SECRET_BYTES)
        connection.sendall(_GREETING + own)
        theirs = _exactly(connection, SECRET_BYTES, end)
        place = struct.pack("!H", port)  # a proof for this listener is none for another
        if not hmac.compare_digest(_exactly(connection, _MAC_BYTES, end), seal(secret, b"rank 0", place, own, theirs)):
            raise Refused(f"what listens at {address}:{port} is not rank 0 of this job")
        proof = seal(secret, b"rank", place, own, theirs, claim)
        connection.sendall(struct.pack("!H", len(claim)) + claim + proof)
        channel = Channel(connection, seal(secret, b"session", own, theirs), b"rank", b"rank 0")
        answer = channel.receive(end - time.monotonic())
        if answer:
            raise Refused(answer.decode(errors="replace"))
        channel.keep_alive()
    except BaseException:
        connection.close()
        raise
    return channel


def accept(connection: socket.socket, secret: bytes, limit_s: float) -> tuple[bytes, Channel]:
    """Rank 0's side of `connect`: the claim of a rank that has proved itself; it waits for an answer to it.

    Raises `Refused` or another `OSError` when the other end proves nothing within `limit_s`.
    """
    end = time.monotonic() + limit_s
    greeting = _exactly(connection, len(_GREETING), end)
    if greeting != _GREETING:
        raise Refused("it does not speak as a rank does")
    theirs, own = _exactly(connection, SECRET_BYTES, end), secrets.token_bytes(SECRET_BYTES)
    place = struct.pack("!H", connection.getsockname()[1])
    connection.sendall(own + seal(secret, b"rank 0", place, theirs, own))
    [size] = struct.unpack("!H", _exactly(connection, 2, end))
    if size > _MOST_CLAIM:
        raise Refused("its claim is too long")
    claim = _exactly(connection, size, end)
    proof = _exactly(connection, _MAC_BYTES, end)
    if not hmac.compare_digest(proof, seal(secret, b"rank", place, theirs, own, claim)):
        raise Refused("it does not know the secret of the job")
    channel = Channel(connection, seal(secret, b"session", theirs, own), b"rank 0", b"rank")
    channel.keep_alive()
    return claim, channel


def uid_of_peer(connection: socket.socket) -> int | None:
    """The user at the other end, where that is on this machine; the kernel lists the owner of every socket."""
    try:
        own, peer = connection.getsockname(), connection.getpeername()
        if own[0] != peer[0] and not str(peer[0]).startswith("127."):
            return None
        wanted = (peer[1], own[1])
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if tuple(int(place.rpartition(":")[2], 16) for place in fields[1:3]) == wanted:
                    return int(fields[7])
    except (OSError, ValueError, IndexError):
        return None
    return None


def _exactly(connection: socket.socket, size: int, end: float | None = None) -> bytes:
    """So many bytes; `end` holds for all of them together, however slowly they come."""
    data = bytearray()
    while len(data) < size:
        if end is not None:
            connection.settimeout(max(0.01, end - time.monotonic()))
        part = connection.recv(min(size - len(data), 2**20))
        if not part:
            raise ConnectionResetError("the other end has closed the connection")
        data += part
        if end is not None and time.monotonic() > end:
            raise TimeoutError("the other end says nothing")
    return bytes(data)
