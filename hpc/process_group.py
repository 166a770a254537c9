"""Bring the ranks of a job together: rendezvous through the job's own folder, then gloo or NCCL.

Rank 0 listens on a port that the system picks (a port derived from the job id is the same after a requeue, when the
old incarnation may still hold it) and publishes it in a file of the job folder; the file name holds the restart count
and the file a random word that the store must repeat, so that a rank never joins a stale incarnation.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal, NoReturn

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore, Store, TCPStore

from hpc.communicator import Communicator
from hpc.errors import EnvironmentProblem
from hpc.files import atomic_write_json
from hpc.outcome import leave_echo
from hpc.peers import watch_peers
from hpc.topology import Topology, export_for_torch

STARTUP_DEADLINE_S = 120.0
COLLECTIVE_TIMEOUT_S = 600.0
_ANSWER_S = 3.0
_ASKING = "rendezvous"
log = logging.getLogger(__name__)


def choose_device(wanted: Literal["auto", "cpu", "cuda"], local_rank: int) -> torch.device:
    """`auto` takes CUDA where there is a device; raises `EnvironmentProblem` when `cuda` is asked for in vain."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem(
            "device 'cuda' was asked for but torch sees no CUDA device on this node: install the CUDA build of torch, "
            "ask for a GPU partition in the site profile, or set the device to 'auto' or 'cpu'."
        )
    if wanted == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", local_rank % torch.cuda.device_count())


@contextlib.contextmanager
def process_group(
    topology: Topology,
    device: torch.device,
    folder: Path,
    attempt: str,
    deadline_s: float = STARTUP_DEADLINE_S,
) -> Iterator[Communicator]:
    """Join the ranks of this job; yields the communicator and takes the groups down at the end.

    `folder` must be shared by all ranks. Raises `EnvironmentProblem` naming the missing ranks when not all of them
    have joined within `deadline_s`: never N jobs of one rank each.
    """
    store, address, port = _rendezvous(topology, folder / f"rendezvous-{attempt}.json", deadline_s)
    export_for_torch(topology, address, port)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # Until the ranks are connected the deadline holds: one that dies here would be waited for in vain.
    try:
        dist.init_process_group(
            backend="nccl" if device.type == "cuda" else "gloo",
            store=PrefixStore("torch", store),
            rank=topology.rank,
            world_size=topology.world_size,
            timeout=timedelta(seconds=deadline_s),
        )
    except (dist.DistError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
        raise EnvironmentProblem(f"the ranks joined but could not connect: {problem}. See the logs of all.") from None
    try:
        timeout = timedelta(seconds=COLLECTIVE_TIMEOUT_S)
        dist.distributed_c10d._set_pg_timeout(timeout)
        if topology.world_size == 1:
            yield Communicator(0, 1, store, None)
        else:
            control = dist.new_group(backend="gloo", timeout=timeout)
            with watch_peers(topology, store, address, deadline_s) as watch:
                watch.leave = functools.partial(leave_echo, folder, topology.rank, attempt)
                yield Communicator(topology.rank, topology.world_size, store, control)
                dist.barrier(group=control)  # the store ends with rank 0, and the others may still need it
    finally:
        dist.destroy_process_group()


def _rendezvous(topology: Topology, file: Path, deadline_s: float) -> tuple[Store, str, int]:
    end = time.monotonic() + deadline_s
    if topology.rank == 0:
        store, address, port = _listen(file)
    else:
        store, address, port = _connect(file, end)
    store.set(f"joined/{topology.rank}", topology.host)
    missing = list(range(topology.world_size))
    while missing:
        try:
            missing = [rank for rank in missing if not store.check([f"joined/{rank}"])]
        except (dist.DistError, RuntimeError):  # rank 0 began to wait earlier, gave up and took the store with it
            end = 0.0
        if missing and time.monotonic() > end:
            raise EnvironmentProblem(
                f"only {topology.world_size - len(missing)} of {topology.world_size} ranks joined within "
                f"{deadline_s:.0f} s; missing: {missing}. See the logs of those ranks; is {file.parent} on all nodes?"
            )
        if missing:
            time.sleep(0.05)
    return store, address, port


def _listen(file: Path) -> tuple[Store, str, int]:
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    word = secrets.token_hex(8)
    store.set("word", word)
    host = socket.gethostname()
    atomic_write_json(file, {"host": host, "addresses": _addresses(host), "port": store.port, "word": word})
    return store, "127.0.0.1", store.port


def _connect(file: Path, end: float) -> tuple[Store, str, int]:
    problem = "rank 0 has not published its address"
    while time.monotonic() < end:
        try:
            target = json.loads(file.read_text())
        except (OSError, ValueError):  # not there yet; or a shared file system shows a name before its content
            time.sleep(0.05)
            continue
        same_host = target["host"] == socket.gethostname()
        for address in ["127.0.0.1"] if same_host else target["addresses"]:
            try:
                store, word = _ask(address, int(target["port"]))
                if word == target["word"]:
                    store.set_timeout(timedelta(seconds=COLLECTIVE_TIMEOUT_S))
                    return store, address, int(target["port"])
                problem = f"{address}:{target['port']} is not this job's store"
            except (dist.DistError, RuntimeError, ValueError, OSError) as error:
                problem = str(error).splitlines()[0]
        time.sleep(0.2)
    raise EnvironmentProblem(f"cannot reach rank 0 through {file}: {problem}. Can the nodes reach each other by TCP?")


def _ask(address: str, port: int) -> tuple[TCPStore, str]:
    """The store at an address and the word it knows; `TimeoutError` when something else sits there and says nothing.

    torch's own time limit does not hold for the first exchange with a server that never answers (measured). Where
    nobody listens, it would try for seconds and fill the log.
    """
    socket.create_connection((address, port), _ANSWER_S).close()
    answers: list[tuple[TCPStore, str] | Exception] = []

    def ask() -> None:
        try:
            limit = timedelta(seconds=_ANSWER_S)
            store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=limit)
            answers.append((store, store.get("word").decode()))
        except (dist.DistError, RuntimeError, ValueError) as error:
            answers.append(error)

    thread = threading.Thread(target=ask, name=_ASKING, daemon=True)
    thread.start()
    thread.join(2 * _ANSWER_S)
    answer = answers[0] if answers else TimeoutError(f"{address}:{port} does not answer")
    if isinstance(answer, Exception):
        raise answer
    return answer


def end_process(code: int) -> NoReturn:
    """Leave with `code`, whatever a thread that asked a silent server is doing.

    One that comes back while Python ends is torn out of torch's C++, which aborts the process of a job that is done.
    """
    if any(thread.name == _ASKING for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _addresses(host: str) -> list[str]:
    found = [host]
    with contextlib.suppress(OSError):
        found += sorted({str(item[4][0]) for item in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)})
    return found
