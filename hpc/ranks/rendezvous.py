"""How the ranks of a job find each other and know that they are of one job: through a file that only they can read.

Rank 0 listens on ports that the system picks (one derived from the job id is the same after a requeue, when the old
incarnation may still hold it) and publishes them, with a secret made for this incarnation, in a file of the job's
folder that only its owner can read. The file name holds the restart count. Whoever does not know the secret is no rank,
on either side of a connection.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as strict_dataclass
from torch.distributed import DistStoreError

from hpc.disk.files import atomic_write_private
from hpc.disk.reading import parse_json
from hpc.disk.strict import validated
from hpc.disk.trusted import read_trusted
from hpc.errors import EnvironmentProblem, InputError
from hpc.ranks.addresses import LOOPBACK, own_addresses
from hpc.ranks.channel import SECRET_BYTES, Channel, Refused, connect
from hpc.ranks.door import Door
from hpc.ranks.key_store import JobStore, Rank0Store, RemoteStore
from hpc.ranks.topology import Topology

_ANSWER_S = 3.0
PURPOSES = ("store", "watch")


@strict_dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class _Published:
    """What rank 0 has left for the others."""

    host: str
    endpoints: list[tuple[str, int]]
    secret: str


@dataclass
class Meeting:
    """What the ranks of a job have once all have met."""

    store: JobStore
    secret: bytes
    address: str
    """Where rank 0 is reached."""
    port: int
    peers: dict[str, Channel] = field(default_factory=dict)
    """Channels for the watch, by the name of the rank at the other end."""

    def close(self) -> None:
        """Give up the connections."""
        for channel in self.peers.values():
            channel.close()
        self.store.close()


@contextlib.contextmanager
def meet(topology: Topology, file: Path, deadline_s: float) -> Iterator[Meeting]:
    """Bring the ranks of one incarnation together through `file`; the store ends with this context.

    Raises `EnvironmentProblem` naming the missing ranks when not all have joined within `deadline_s`.
    """
    end = time.monotonic() + deadline_s
    with contextlib.ExitStack() as stack:
        if topology.rank == 0:
            meeting, door = _receive_others(topology, file, stack)
        else:
            meeting, door = _join(topology, file, end), None
            stack.callback(meeting.close)
        _wait_for_all(meeting.store, topology, file, end, deadline_s)
        if door is not None:
            door.close()
        yield meeting


def _receive_others(topology: Topology, file: Path, stack: contextlib.ExitStack) -> tuple[Meeting, Door]:
    store = Rank0Store()
    meeting = Meeting(store, secrets.token_bytes(SECRET_BYTES), LOOPBACK, 0)
    stack.callback(meeting.close)
    channels: dict[tuple[int, str], Channel] = {}
    lock = threading.Lock()

    def admit(rank: int, host: str, purpose: str, channel: Channel) -> str:
        if purpose not in PURPOSES:
            return f"nothing is here for {purpose!r}"
        with lock:
            before = channels.get((rank, purpose))
            if before is not None and not before.is_gone():
                return f"rank {rank} has joined already: two processes have the same number"
            channels[rank, purpose] = channel
            if purpose == "watch":  # one that is gone tries again
                meeting.peers = {name: each for name, each in meeting.peers.items() if each is not before}
                meeting.peers[f"rank {rank} on {host}"] = channel
        if before is not None and purpose == "watch":
            before.close()
        channel.send(b"")
        if purpose == "store":
            store.serve(channel)
        store.set(_joined(rank, purpose), host)
        return ""

    if topology.world_size > 1:
        addresses = own_addresses(topology.host, topology.num_nodes)
        door = stack.enter_context(Door(addresses, meeting.secret, topology.world_size, admit))
        meeting.port = door.endpoints[0][1]
        content = {"host": topology.host, "endpoints": door.endpoints, "secret": meeting.secret.hex()}
        atomic_write_private(file, json.dumps(content).encode())
    else:
        door = Door([], meeting.secret, 1, admit)
    for purpose in PURPOSES:
        store.set(_joined(0, purpose), topology.host)
    return meeting, door


def _join(topology: Topology, file: Path, end: float) -> Meeting:
    problem, refused = "rank 0 has not published its address", False
    while time.monotonic() < end:
        try:
            content = parse_json(read_trusted(file), str(file))
            published = validated(_Published, content, str(file))
            secret = bytes.fromhex(published.secret)
        except FileNotFoundError:
            time.sleep(0.05)
            continue
        except (OSError, InputError, ValueError, TypeError) as error:  # a shared file system shows a name first
            problem = str(error)
            time.sleep(0.05)
            continue
        for address, port in _reachable(published):
            channels: dict[str, Channel] = {}
            try:
                for purpose in PURPOSES:
                    claim = {"rank": topology.rank, "host": topology.host, "purpose": purpose}
                    channels[purpose] = connect(address, port, secret, json.dumps(claim).encode(), _ANSWER_S)
                peers = {f"rank 0 on {published.host}": channels["watch"]}
                return Meeting(RemoteStore(channels["store"]), secret, address, port, peers)
            except OSError as error:
                if isinstance(error, Refused) or not refused:  # rank 0 may have gone when it is asked again
                    problem, refused = f"{address}:{port}: {error}", isinstance(error, Refused)
                for channel in channels.values():
                    channel.close()
        time.sleep(0.2)
    raise EnvironmentProblem(f"cannot reach rank 0 through {file}: {problem}. Can the nodes reach each other by TCP?")


def _reachable(published: _Published) -> list[tuple[str, int]]:
    """Where to try; the loopback address is another machine's own unless it has the same name."""
    same_host = published.host == socket.gethostname()
    found = []
    for address, port in published.endpoints:
        if address == LOOPBACK and not same_host:
            continue
        found.append((address or (LOOPBACK if same_host else published.host), port))
    return found


def _wait_for_all(store: JobStore, topology: Topology, file: Path, end: float, deadline_s: float) -> None:
    wanted = [_joined(rank, purpose) for rank in range(topology.world_size) for purpose in PURPOSES]
    missing = list(range(topology.world_size))
    while True:
        with contextlib.suppress(DistStoreError):  # rank 0 began to wait earlier, gave up and took the store with it
            missing = sorted({int(key.split("/")[1]) for key in store.missing(wanted)})
            if not missing:
                return
            if time.monotonic() <= end:
                time.sleep(max(0.05, topology.world_size / 1000))  # thousands of ranks ask one
                continue
        raise EnvironmentProblem(
            f"only {topology.world_size - len(missing)} of {topology.world_size} ranks joined within "
            f"{deadline_s:.0f} s; missing: {missing}. See the logs of those ranks; is {file.parent} on all nodes?"
        )


def _joined(rank: int, purpose: str) -> str:
    return f"joined/{rank}/{purpose}"
