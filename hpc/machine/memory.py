"""How much memory a rank may still take, and how much a piece of work took: measured, on processors and on CUDA."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")


def available_bytes(device: torch.device) -> int:
    """Free memory of the device; on a processor the less of the machine's and of this process's control group."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free + cached)
    machine = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    return min([machine, *_control_groups()])


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """How much more memory than at its beginning `work` needed at its peak; 0 where the system does not tell."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        torch.cuda.synchronize(device)
        return int(torch.cuda.max_memory_allocated(device)) - before
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak of resident memory is counted anew from here
    before = resident_bytes()
    work()
    return max(0, _resident("VmHWM") - before)


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    return _resident("VmRSS")


def _resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)


def _control_groups() -> Iterator[int]:
    """What the limits of this process's control groups (versions 1 and 2) leave, such as Slurm's of a job step."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = _CGROUP / controllers
        files = (
            ("memory.max", "memory.current") if not controllers else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        )
        folder = root / name.lstrip("/")
        for group in [folder, *folder.parents]:
            with contextlib.suppress(OSError, ValueError):
                yield int((group / files[0]).read_text()) - int((group / files[1]).read_text())
            if group == root:
                break
