"""DeepSpeed's buffers in the memory that the processes of a node share: their size, their names and what stays behind.

On a CPU, where all ranks are on one node, each makes a file in `/dev/shm` when DeepSpeed's communication begins, and
maps those of all others. DeepSpeed looks at no error on the way: without room a rank dies of SIGSEGV, and it never
removes a name. `tests/unit/train/test_shared_buffers.py` compares what is said here with DeepSpeed's sources.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import time
from pathlib import Path

import torch
import torch.distributed as dist

from hpc.job.runtime import Runtime
from hpc.ranks.preflight import SHARED_MEMORY, Check, check_shared_memory
from hpc.ranks.topology import Topology, torch_address
from hpc.ranks.watchdog import watchdog

BUFFER_BYTES = 2 * 4 + 2 * 2**20 + 2 * 32 * 2**20
"""Of one rank: two states, two small buffers and two large ones."""
MEET_S = 60.0
"""So long may mapping the buffers of all ranks take."""
_MEETING = "buffers"
_NAME = "deepspeed_allreduce_buffer"
_NAMED = re.compile(rf"{_NAME}_(\d+)_(.*)_(\d+)_(\d+)")
log = logging.getLogger(__name__)


def check_buffers(runtime: Runtime) -> Check:
    """Collective: whether there is room for the buffers of all ranks, once those of dead jobs are gone."""
    if _bytes_of_a_rank(runtime.topology, runtime.device) and runtime.topology.local_rank == 0:
        sweep_dead_buffers()
    return check_shared_memory(runtime.comm, runtime.topology, _bytes_of_a_rank(runtime.topology, runtime.device))


def _bytes_of_a_rank(topology: Topology, device: torch.device) -> int:
    """DeepSpeed uses them where the number of ranks is that of this node."""
    return BUFFER_BYTES if device.type == "cpu" and topology.world_size == topology.local_world_size else 0


def announce_buffer() -> None:
    """Collective, before this rank makes its buffer: what its watchdog must know.

    Should the rank die before all have mapped the buffer, its name is removed. And the ranks wait for each other's in C
    code: one without a buffer may neither die nor go on, and then all would wait for ever.
    """
    address, port = torch_address()
    dist.barrier()  # nobody is late by more than the others can wait
    watchdog().news(_MEETING, "the ranks have not found each other's buffers in /dev/shm", MEET_S)
    watchdog().remove_at_end(SHARED_MEMORY / f"{_NAME}_{os.getuid()}_{address}_{port}_{dist.get_rank()}")


def unlink_buffers() -> None:
    """Collective: take the names from the buffers, once all ranks have mapped them.

    DeepSpeed never does: every start of every rank, killed or not, would keep 69 MB of the node's memory for ever.
    """
    watchdog().forget(_MEETING)
    dist.barrier()
    for line in Path("/proc/self/maps").read_text().splitlines():
        name = line.split(maxsplit=5)[-1]
        if name.startswith(f"{SHARED_MEMORY}/{_NAME}"):
            Path(name).unlink(missing_ok=True)


def sweep_dead_buffers(folder: Path = SHARED_MEMORY) -> list[Path]:
    """Remove the buffers of jobs of this user that were killed, watchdogs and all, before they took the names away.

    The name of a living job is there for `MEET_S` at most. One that is ten times as old belongs to nobody; a younger
    one may be of a job that starts at this moment, and without it the ranks of that job would wait for ever.
    """
    now, swept = time.time(), []
    for path in sorted(folder.glob(f"{_NAME}_*")):
        named = _NAMED.fullmatch(path.name)
        if named is None or int(named[1]) != os.getuid():
            continue
        with contextlib.suppress(OSError):  # another rank was faster, or it is not ours
            if now - path.stat().st_mtime > 10 * MEET_S:
                path.unlink()
                swept.append(path)
    if swept:
        log.info("%d shared buffers of jobs that were killed are removed from %s", len(swept), folder)
    return swept
