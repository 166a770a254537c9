"""The keys that the ranks of a job share, in the memory of rank 0: a store for torch in the place of its TCPStore.

TCPStore asks nobody who he is: a stranger on the node read its keys, joined as a rank, and gave and took what he
wanted (seen). Here the other ranks ask over channels that have proved themselves (`hpc.ranks.channel`).
"""

from __future__ import annotations

import json
import logging
import selectors
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from torch._C._distributed_c10d import Store
from torch.distributed import DistStoreError

from hpc.disk.reading import parse_json
from hpc.ranks.channel import Channel

_POLL_S = 0.2
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.1
_STALLED_S = 10.0  # a message of one of ours comes whole
log = logging.getLogger(__name__)


class JobStore(Store):
    """Keys and values, and how to wait for them; what answers a request is in the classes below."""

    def __init__(self) -> None:
        super().__init__()
        self._timeout = timedelta(minutes=10)

    def _ask(self, request: list[Any], value: bytes = b"") -> bytes:
        """The answer to a request; each class below has its own way. Not an ABC: torch's class has a metaclass."""
        raise NotImplementedError

    def set(self, key: str, value: str | bytes) -> None:
        """Give `key` a value."""
        self._ask(["set", key], _as_bytes(value))

    def get(self, key: str) -> bytes:
        """The value of `key`, once it has one."""
        self.wait([key], self._timeout)
        return self._ask(["get", key])

    def add(self, key: str, number: int) -> int:
        """Add to a number that begins with 0; the sum, which no other rank gets."""
        return int(self._ask(["add", key, number]))

    def compare_set(self, key: str, expected: str | bytes, wanted: str | bytes) -> bytes:
        """Replace `expected` (empty: no value); what is there then."""
        before = _as_bytes(expected)
        return self._ask(["compare_set", key, len(before)], before + _as_bytes(wanted))

    def delete_key(self, key: str) -> bool:
        """Whether there was one."""
        return self._ask(["delete", key]) == b"1"

    def num_keys(self) -> int:
        """How many there are."""
        return int(self._ask(["count"]))

    def check(self, keys: Sequence[str]) -> bool:
        """Whether all of them have values."""
        return not self.missing(keys)

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those without a value, by one question."""
        found: list[str] = json.loads(self._ask(["missing", *keys]))
        return found

    def wait(self, keys: Sequence[str], timeout: timedelta | None = None) -> None:
        """Return once all have values; raises `DistStoreError` when they have none in time."""
        limit_s = (timeout or self._timeout).total_seconds()
        end, pause_s = time.monotonic() + limit_s, _FIRST_PAUSE_S
        while missing := self.missing(keys):
            if time.monotonic() > end:
                raise DistStoreError(f"no rank has set {missing[0]!r} within {limit_s:.0f} s")
            time.sleep(pause_s)
            pause_s = min(1.5 * pause_s, _LONGEST_PAUSE_S)

    def set_timeout(self, timeout: timedelta) -> None:
        """Of `get`, and of `wait` without one."""
        self._timeout = timeout

    @property
    def timeout(self) -> timedelta:
        """See `set_timeout`."""
        return self._timeout

    def close(self) -> None:
        """Nothing is asked or answered any more."""

    def clone(self) -> JobStore:
        """torch asks for one for each of its threads; this one may be shared."""
        return self


class Rank0Store(JobStore):
    """Holds the keys and answers the other ranks, whose channels are given to `serve`."""

    def __init__(self) -> None:
        super().__init__()
        self._values: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._answer_all, name="job-store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The others are told that rank 0 has gone."""
        self._closed.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.data.close()
        self._selector.close()

    def serve(self, channel: Channel) -> None:
        """Answer what comes over this channel until it is closed."""
        self._selector.register(channel, selectors.EVENT_READ, channel)

    def _answer_all(self) -> None:
        while not self._closed.is_set():
            for key, _ in self._selector.select(_POLL_S):
                channel: Channel = key.data
                try:
                    header, _, value = channel.receive(_STALLED_S).partition(b"\n")
                    channel.send(self._ask(parse_json(header, "request"), value))
                except (OSError, ValueError, LookupError, TypeError) as error:
                    log.debug("a rank asks no more: %s", error)
                    self._selector.unregister(channel)
                    channel.close()

    def _ask(self, request: list[Any], value: bytes = b"") -> bytes:
        kind, *rest = request
        with self._lock:
            if kind == "missing":
                return json.dumps([key for key in rest if key not in self._values]).encode()
            if kind == "count":
                return str(len(self._values)).encode()
            key = rest[0]
            if kind == "set":
                self._values[key] = value
                return b""
            if kind == "get":
                return self._values[key]
            if kind == "add":
                self._values[key] = str(int(self._values.get(key, b"0")) + int(rest[1])).encode()
                return self._values[key]
            if kind == "delete":
                return b"0" if self._values.pop(key, None) is None else b"1"
            if kind == "compare_set":
                expected, wanted = value[: rest[1]], value[rest[1] :]
                if self._values.get(key, b"") == expected:
                    self._values[key] = wanted
                return self._values.get(key, expected)
        raise ValueError(f"no such request: {kind}")


class RemoteStore(JobStore):
    """The store as another rank sees it."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel, self._lock = channel, threading.Lock()

    def close(self) -> None:
        """It asks no more."""
        self._channel.close()

    def _ask(self, request: list[Any], value: bytes = b"") -> bytes:
        with self._lock:
            try:
                self._channel.send(json.dumps(request).encode() + b"\n" + value)
                return self._channel.receive()
            except OSError as error:
                raise DistStoreError(f"rank 0, which holds the shared keys, has gone ({error})") from None


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)
