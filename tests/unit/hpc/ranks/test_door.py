"""Who comes in and who does not: proofs, silent and loud strangers, false rank 0s."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpc.ranks import channel, door
from hpc.ranks.channel import Channel, Refused, connect, seal
from hpc.ranks.door import Door
from tests.kit.strangers import IS_ROOT, NOBODY, run_stranger

SECRET = secrets.token_bytes(32)


class Inside:
    """Takes everybody who has proved himself."""

    def __init__(self) -> None:
        self.ranks: list[tuple[int, str, str]] = []
        self.channels: list[Channel] = []
        self.refuse = ""

    def admit(self, rank: int, host: str, purpose: str, channel: Channel) -> str:
        if not self.refuse:
            self.ranks.append((rank, host, purpose))
            self.channels.append(channel)
            channel.send(b"")
        return self.refuse


@pytest.fixture
def inside() -> Iterator[Inside]:
    found = Inside()
    yield found
    for each in found.channels:
        each.close()


@pytest.fixture
def opened(inside: Inside) -> Iterator[Door]:
    with Door(["127.0.0.1"], SECRET, 4, inside.admit) as found:
        yield found


def claim(rank: object = 1, **more: object) -> bytes:
    return json.dumps({"rank": rank, "host": "node1", "purpose": "store", **more}).encode()


def refused(caplog: pytest.LogCaptureFixture, count: int = 1) -> list[str]:
    end = time.monotonic() + 8
    while len(caplog.messages) < count and time.monotonic() < end:
        time.sleep(0.01)
    return caplog.messages


def test_a_rank_of_the_job_comes_in_and_both_understand_each_other(opened: Door, inside: Inside) -> None:
    own = connect(*opened.endpoints[0], SECRET, claim(), 5.0)
    assert inside.ranks == [(1, "node1", "store")]
    [theirs] = inside.channels
    for number in range(3):
        own.send(b"question %d" % number)
        assert theirs.receive() == b"question %d" % number
        theirs.send(bytes(number))
        assert own.receive() == bytes(number)
    assert not theirs.is_gone()
    own.close()
    assert theirs.is_gone()


def test_it_listens_on_the_named_address_alone(opened: Door) -> None:
    [(address, port)] = opened.endpoints
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    table = [fields[1] for fields in lines if fields[3] == "0A"]
    assert [place for place in table if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    assert address == "127.0.0.1"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\nHost: node0\r\n\r\n", "does not speak as a rank"),
        (b"", "closed the connection"),
        (channel._GREETING + bytes(32) + struct.pack("!H", 2) + b"{}" + bytes(32), "does not know the secret"),
        (channel._GREETING + bytes(32) + struct.pack("!H", 65535), "claim is too long"),
    ],
)
def test_a_stranger_is_refused_and_named(opened: Door, inside: Inside, caplog, said: bytes, why: str) -> None:
    with socket.create_connection(opened.endpoints[0], 5) as stranger:
        port = stranger.getsockname()[1]
        stranger.sendall(said)
        with contextlib.suppress(OSError):  # the door may have closed it already
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(4096):
                pass
    [text] = refused(caplog)
    assert text.startswith(f"refused a connection from 127.0.0.1 port {port}")
    assert why in text
    assert not inside.ranks


def test_the_user_of_a_stranger_is_named(opened: Door, caplog: pytest.LogCaptureFixture) -> None:
    said = run_stranger(
        """
        with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
            connection.sendall(b"let me in, I am rank 1\\n")
            while connection.recv(100): pass
        """,
        opened.endpoints[0][1],
    )
    assert not said
    [text] = refused(caplog)
    assert ", uid " in text
    assert not IS_ROOT or f", uid {NOBODY}:" in text


def test_what_another_rank_has_said_is_no_proof(opened: Door, inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    """Replayed, reflected, and made with another secret."""
    heard: list[bytes] = []

    class Listening(socket.socket):
        def sendall(self, data: bytes, flags: int = 0) -> None:  # type: ignore[override]
            heard.append(bytes(data))
            super().sendall(data)

    original, channel.socket.create_connection = socket.create_connection, _listening(Listening)
    try:
        connect(*opened.endpoints[0], SECRET, claim(), 5.0).close()
    finally:
        channel.socket.create_connection = original
    with socket.create_connection(opened.endpoints[0], 5) as stranger:
        for part in heard[:2]:
            stranger.sendall(part)
        while stranger.recv(4096):
            pass
    with socket.create_connection(opened.endpoints[0], 5) as stranger:  # hand rank 0's own proof back to it
        stranger.sendall(channel._GREETING + bytes(32))
        answer = b""
        while len(answer) < 64:
            answer += stranger.recv(64 - len(answer))
        stranger.sendall(struct.pack("!H", len(claim())) + claim() + answer[32:])
        while stranger.recv(4096):
            pass
    with pytest.raises(Refused, match="is not rank 0 of this job"):
        connect(*opened.endpoints[0], secrets.token_bytes(32), claim(), 5.0)
    texts = refused(caplog, 3)
    assert sum("does not know the secret" in text for text in texts) == 2
    assert inside.ranks == [(1, "node1", "store")]


def _listening(kind):
    def create(address, limit_s):
        connection = kind(socket.AF_INET, socket.SOCK_STREAM)
        connection.settimeout(limit_s)
        connection.connect(address)
        return connection

    return create


@pytest.mark.parametrize("reflects", [False, True])
def test_a_false_rank_0_learns_nothing_and_is_left(reflects: bool) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def pretend() -> None:
            connection = listener.accept()[0]
            with connection:
                greeting = connection.recv(1000)
                own = greeting[-32:] if reflects else bytes(32)
                connection.sendall(own + (greeting[-32:] if reflects else bytes(32)))
                heard.append(connection.recv(1000))

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(Refused, match="is not rank 0 of this job"):
            connect("127.0.0.1", listener.getsockname()[1], SECRET, claim(), 5.0)
        thread.join()
    assert heard == [b""], "no claim, and no proof of the secret"


def test_a_proof_for_one_listener_is_none_for_another(opened: Door, inside: Inside) -> None:
    """A stranger between a rank and rank 0, at a port of his own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def relay() -> None:
            connection = listener.accept()[0]
            with connection, socket.create_connection(opened.endpoints[0]) as onward:
                onward.sendall(connection.recv(1000))
                connection.sendall(onward.recv(1000))
                connection.recv(1000)

        thread = threading.Thread(target=relay)
        thread.start()
        with pytest.raises(Refused):
            connect("127.0.0.1", listener.getsockname()[1], SECRET, claim(), 5.0)
        thread.join()
    assert not inside.ranks


def test_silent_strangers_hold_nobody_up(opened: Door, inside: Inside, caplog, monkeypatch) -> None:
    """More of them than there may be, some of whom say one byte a second; a rank of the job comes in at once."""
    monkeypatch.setattr(door, "PROOF_S", 1.0)
    strangers = [socket.create_connection(opened.endpoints[0], 5) for _ in range(2 * opened._most)]
    try:
        for stranger in strangers[::2]:
            stranger.sendall(channel._GREETING[:1])
        started = time.monotonic()
        connect(*opened.endpoints[0], SECRET, claim(), 5.0).close()
        assert time.monotonic() - started < 4
        assert len(opened._waiting) <= opened._most
        end = time.monotonic() + 10
        while opened._waiting and time.monotonic() < end:
            time.sleep(0.05)
        assert not opened._waiting, "each has been sent away"
    finally:
        for stranger in strangers:
            stranger.close()
    assert len(inside.ranks) == 1
    assert len(caplog.messages) <= door._MOST_NAMED + 1, "a flood does not fill the log"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"no json", "cannot be read"),
        (b"[1, 2]", "cannot be read"),
        (claim(rank=0), "there is no rank 0 among 4"),
        (claim(rank=4), "there is no rank 4 among 4"),
        (claim(rank="one"), "cannot be read"),
    ],
)
def test_claims_that_make_no_sense(opened: Door, inside: Inside, said: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why):
        connect(*opened.endpoints[0], SECRET, said, 5.0)
    assert not inside.ranks


def test_a_reason_not_to_let_a_rank_in_is_told(opened: Door, inside: Inside) -> None:
    inside.refuse = "rank 1 has joined already"
    with pytest.raises(Refused, match="rank 1 has joined already"):
        connect(*opened.endpoints[0], SECRET, claim(), 5.0)


def test_many_ranks_at_once(inside: Inside) -> None:
    with (
        Door(["127.0.0.1"], SECRET, 101, inside.admit) as found,
        ThreadPoolExecutor(50) as pool,
    ):
        channels = list(pool.map(lambda r: connect(*found.endpoints[0], SECRET, claim(r), 20.0), range(1, 101)))
    assert sorted(rank for rank, _, _ in inside.ranks) == list(range(1, 101))
    for each in channels:
        each.close()


@pytest.mark.parametrize("change", ["content", "seal", "order", "length"])
def test_a_changed_message_is_refused(opened: Door, inside: Inside, change: str) -> None:
    own = connect(*opened.endpoints[0], SECRET, claim(), 5.0)
    [theirs] = inside.channels
    sealed = seal(own._key, b"rank", struct.pack("!Q", 1 if change == "order" else 0), b"right")
    size = 2**31 if change == "length" else 5
    message = struct.pack("!I", size) + (bytes(32) if change == "seal" else sealed)
    own._connection.sendall(message + (b"wrong" if change == "content" else b"right"))
    with pytest.raises(Refused):
        theirs.receive(5.0)
    own.close()
