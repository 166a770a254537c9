"""Bring the ranks of a job together: they meet (`hpc.ranks.rendezvous`), then gloo or NCCL connect them."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import PrefixStore

from hpc.errors import EnvironmentProblem, InputError
from hpc.ranks.addresses import stay_on_loopback
from hpc.ranks.communicator import Communicator
from hpc.ranks.outcome import leave_echo
from hpc.ranks.peers import PeerWatch
from hpc.ranks.rendezvous import meet
from hpc.ranks.topology import Topology, export_for_torch

COLLECTIVE_TIMEOUT_S = 600.0
log = logging.getLogger(__name__)


def choose_device(wanted: Literal["auto", "cpu", "cuda"], local_rank: int) -> torch.device:
    """`auto` takes CUDA where there is a device; raises `EnvironmentProblem` when `cuda` is asked for in vain.

    Raises `InputError` for another word: it would be taken for `auto`.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {str(wanted)!r:.60}: give 'auto', 'cpu' or 'cuda'.")
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
    deadline_s: float,
) -> Iterator[Communicator]:
    """Join the ranks of this job; yields the communicator and takes the groups down at the end.

    `folder` must be shared by all ranks, and nobody else may write to it. Raises `EnvironmentProblem` naming the
    missing ranks when not all of them have joined within `deadline_s`: never N jobs of one rank each.
    """
    with meet(topology, folder / f"rendezvous-{attempt}.json", deadline_s) as meeting:
        export_for_torch(topology, meeting.address, meeting.port)
        stay_on_loopback(topology.num_nodes)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        with _connecting():
            dist.init_process_group(
                backend=backend,
                store=PrefixStore("torch", meeting.store),
                rank=topology.rank,
                world_size=topology.world_size,
                timeout=timedelta(seconds=deadline_s),
            )
            control = None
            if topology.world_size > 1:
                control = dist.new_group(backend="gloo", timeout=timedelta(seconds=deadline_s))
                dist.barrier(group=control)
                if backend == "gloo":
                    dist.barrier()
        try:
            for group in (None, control):
                dist.distributed_c10d._set_pg_timeout(timedelta(seconds=COLLECTIVE_TIMEOUT_S), group)
            if control is None:
                yield Communicator(0, 1, meeting.store, None)
            else:
                with PeerWatch(meeting.peers) as watch:
                    watch.leave = functools.partial(leave_echo, folder, topology.rank, attempt)
                    yield Communicator(topology.rank, topology.world_size, meeting.store, control, meeting.secret)
                    dist.barrier(group=control)  # the store ends with rank 0, and the others may still need it
        finally:
            dist.destroy_process_group()


@contextlib.contextmanager
def _connecting() -> Iterator[None]:
    """Until the ranks have exchanged something the startup deadline holds, not the long limit of a collective.

    One that dies meanwhile would be waited for in vain; and so would all, where a stranger has got into gloo's ports
    while it connects (measured: they ask nobody who he is).
    """
    try:
        yield
    except (dist.DistError, RuntimeError) as error:
        problem = str(error).splitlines()[0]
        raise EnvironmentProblem(f"the ranks joined but could not connect: {problem}. See the logs of all.") from None
