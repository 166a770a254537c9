"""The watchdog of one rank, a process of its own: `python -I -S watcher.py PLACE`; `hpc.ranks.watchdog` starts it.

A thread cannot watch a rank that stands in C code and keeps the interpreter's lock, such as one that waits in
DeepSpeed's shared memory for a rank that has died: no thread of it runs any more. This process needs no lock. A rank
that is merely slow is left alone: it is ended only when there is news that its own threads should have read, and these
have given no sign of life for as long as the news allows.

Started before anything heavy and without site packages, so that it costs a few megabytes. What it hears, one message
each, is in `hpc.ranks.watchdog`. It ends with its rank, however that ends, and then removes the files it was told to.
"""

# ruff: noqa: PTH105, PTH108, PTH123 - pathlib would cost this process as much as all the rest
from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

REMIND_S = 2.0
ORPHAN_S = 150.0
_SILENT_TICKS = 3
_SHOW_S = 1.0


class Watcher:
    """Watches the process that has started this one, and closes `control` when it ends.

    `place`: `rank` (its process), `log` (its file), `outcome` (file that it would leave), `restarts` (of the job),
    `show` (signal at which it prints where it stands), `tick_s` (time between two signs of life), `controller` (the
    process that it must not outlive, or 0).
    """

    def __init__(self, control: socket.socket, place: dict[str, Any]) -> None:
        self._control = control
        self._place = place
        self._rank = int(place["rank"])
        self._watched: dict[str, tuple[socket.socket, dict[str, Any]]] = {}
        self._known: dict[str, dict[str, Any]] = {}
        self._remove: list[str] = []
        self._silent = 0
        self._age = 0
        self._orphan_since: float | None = None
        self._reminded = 0.0
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def run(self) -> None:
        """Until the rank has ended."""
        tick_s = self._place["tick_s"]
        ticked = time.monotonic()
        # A process that was forked off the rank holds the other end too; hence the look at who our parent is.
        while os.getppid() == self._rank:
            if self._poll.poll(tick_s * 1000) and not self._hear():
                break
            if time.monotonic() - ticked >= tick_s:  # once, also after both of us were suspended for an hour
                ticked = time.monotonic()
                self._silent += 1
                self._look_after_orphan()
                self._look_for_hang()
        for path in self._remove:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _hear(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 1)
        except OSError:
            return False
        if not data:
            return False
        message = json.loads(data)
        name = message.get("name", "")
        if "limit" in message and descriptors:
            self._watched[name] = socket.socket(fileno=descriptors[0]), message
        elif "limit" in message:
            self._known[name] = message
        elif "forget" in message:
            self._known.pop(message["forget"], None)
            if message["forget"] in self._watched:
                self._watched.pop(message["forget"])[0].close()
        elif "remove" in message:
            self._remove.append(message["remove"])
        self._silent = self._age = 0
        return True

    def _look_for_hang(self) -> None:
        """Without a sign of life, news gets older."""
        news = min(self._news(), key=lambda item: float(item["limit"]), default=None) if self._is_silent() else None
        self._age = 0 if news is None else self._age + 1
        if news is not None and self._age * self._place["tick_s"] >= news["limit"]:
            self._end(news)

    def _is_silent(self) -> bool:
        return self._silent >= _SILENT_TICKS

    def _news(self) -> Iterator[dict[str, Any]]:
        """What the rank knows, or would know if its threads could read."""
        yield from self._known.values()
        for name, (connection, item) in self._watched.items():
            try:
                unread = connection.recv(256, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                unread = b""
            content = _content(unread, item["header"])
            if not (item["farewell"] and content.startswith(item["farewell"].encode())):
                told = content.decode("ascii", "replace")
                yield item | {"why": item["why"].format(who=told or name)}

    def _end(self, news: dict[str, Any]) -> None:
        """Show where the rank stands, leave its outcome, and end it."""
        self._say(f"{news['why']}. No thread of this rank can run: it stands in C code, as shown here, and is ended")
        _signal(self._rank, self._place["show"])
        if self._poll.poll(_SHOW_S * 1000):  # it waited for nothing but a signal, and goes on
            return
        file = self._place["outcome"]
        if news["echo"]:
            content = {"exit_code": 1, "message": news["why"], "restarts": self._place["restarts"], "echo": True}
            with contextlib.suppress(OSError):
                with open(f"{file}.watchdog", "w", encoding="utf-8") as partial:
                    json.dump(content, partial)
                os.replace(f"{file}.watchdog", file)
        _signal(self._rank, signal.SIGKILL)

    def _look_after_orphan(self) -> None:
        """The controller of the job hands signals on and ends what hangs; without it, that is done here."""
        if not self._place["controller"] or _parent(self._rank) == self._place["controller"]:
            return
        now = time.monotonic()
        if self._orphan_since is None:
            self._orphan_since = now
            self._say("the process that runs the ranks has gone: this rank is asked to save and end")
        if now - self._orphan_since >= ORPHAN_S:
            self._say(f"not ended {ORPHAN_S:.0f} s after it was asked to: this rank is ended")
            _signal(self._rank, signal.SIGKILL)
        elif now - self._reminded >= REMIND_S:  # a rank that is still starting may not listen yet
            self._reminded = now
            _signal(self._rank, signal.SIGTERM)

    def _say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} watchdog of process {self._rank}: {text}\n".encode()
        with contextlib.suppress(OSError):
            os.write(2, line)
        with contextlib.suppress(OSError), open(self._place["log"], "ab", buffering=0) as file:
            file.write(line)


def _content(unread: bytes, header: int) -> bytes:
    """The first message of what has arrived."""
    if header:
        return unread[header : header + int.from_bytes(unread[:4], "big")]
    return unread.split(b"\n")[0]


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # rank 0 has a connection to every other rank
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    told = json.loads(sys.argv[1])
    Watcher(socket.socket(fileno=told["control"]), told).run()
