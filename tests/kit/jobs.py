"""Small jobs that train nothing; each leaves what it found in `job_folder`."""

import errno
import json
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpc.errors import CorruptError, InputError, Preempted, SnwError
from hpc.job.runtime import Runtime
from hpc.ranks.preemption import PreemptionGuard
from hpc.ranks.work_queue import StoreCounter, claim_units
from hpc.save.checkpoint import find_checkpoint, prune_checkpoints
from hpc.save.fence import Fence, claimed_together
from hpc.save.saving import save_checkpoint

Config = dict[str, Any]


def payload(step: int, rank: int, size: int) -> bytes:
    """What rank `rank` saves at `step`."""
    return random.Random(f"{step}/{rank}").randbytes(size)


def leave(runtime: Runtime, name: str, value: Any = None) -> None:
    """Publish `value` under `name-rank<r>.json`."""
    file = runtime.job_folder / f"{name}-rank{runtime.comm.rank}.json"
    partial = file.with_suffix(".tmp")
    partial.write_text(json.dumps(value))
    partial.replace(file)


def nothing(config: Config, runtime: Runtime) -> None:
    leave(runtime, "started")


def fail(config: Config, runtime: Runtime) -> None:
    errors: dict[str, BaseException] = {
        "input": InputError("the input is bad"),
        "corrupt": CorruptError("the data is bad"),
        "value": ValueError("a defect"),
        "thread": RuntimeError("can't start new thread"),
        "exit": SystemExit(0),
        "disk": OSError(errno.ENOSPC, "full", "/a/table"),
        "denied": OSError(errno.EACCES, "denied", "/a/table"),
    }
    raise errors[config["error"]]


def collectives(config: Config, runtime: Runtime) -> None:
    comm, rank, last = runtime.comm, runtime.comm.rank, runtime.comm.world_size - 1
    comm.barrier()

    def refuse() -> int:
        raise InputError(f"refused by rank {rank}")

    try:
        comm.on_rank_0(refuse)
        refused = ""
    except InputError as error:
        refused = str(error)
    try:
        comm.agree_on(CorruptError(f"corrupt for rank {rank}") if rank > 0 else None)
        agreed = ""
    except CorruptError as error:
        agreed = str(error)
    leave(
        runtime,
        "found",
        {
            "sums": [value.hex() for value in comm.sums(0.1 * (rank + 1), 1e16 if rank == 0 else 1.0)],
            "agreed": agreed,
            "any": [comm.any(rank == last), comm.any(False), comm.any(True)],
            "any_of": comm.any_of(rank == last, False, rank == 0),
            "max": [comm.max(rank * 2**40), comm.max(-rank - 1)],
            "sum": [comm.sum(0.1 * (rank + 1)).hex(), comm.sum(1e16 if rank == 0 else 1.0).hex()],
            "broadcast": [comm.broadcast({"from": rank}), comm.broadcast("x" * 100_000 if rank == 0 else None)[-1]],
            "gather": comm.gather(("rank", rank, "y" * rank)),
            "on_rank_0": comm.on_rank_0(lambda: rank),
            "refused": refused,
            "still": comm.sum(1.0),
        },
    )


def fail_on_rank_0(config: Config, runtime: Runtime) -> None:
    """Something goes wrong where the other ranks wait for an answer."""

    def act() -> Any:
        if config["error"] == "not plain":
            return Path("a path is no plain data")
        raise OSError(28, "No space left on device", "/a/table") if config["error"] == "disk" else ValueError("defect")

    runtime.comm.on_rank_0(act)


def forge(config: Config, runtime: Runtime) -> None:
    """Rank 1 does not know the secret of the job."""
    if runtime.comm.rank == 1:
        runtime.comm._secret = bytes(32)
        runtime.comm._opened = lambda found: []  # type: ignore[method-assign]
    runtime.comm.gather_bytes(b"a vote")
    if runtime.comm.rank == 1:
        raise SystemExit(0)


def share_units(config: Config, runtime: Runtime) -> None:
    """Rank 0 is quick and ends before the others; nothing but the work itself brings the ranks together."""
    found: dict[str, list[int]] = {}
    for name, num_units in config["rounds"].items():
        found[name] = []
        for unit in claim_units(runtime.comm, StoreCounter(runtime.comm, name), num_units):
            found[name].append(unit)
            time.sleep(0.001 if runtime.comm.rank == 0 else 0.1)
    leave(runtime, "units", found)


def failing_saves(config: Config, runtime: Runtime) -> None:
    """Saves of which one rank fails, each in another way; the last one ends the job."""
    comm, root = runtime.comm, Path(config["root"])
    failures: dict[str, Exception] = {
        "os": OSError(28, "No space left on device"),
        "runtime": RuntimeError("unexpected pos 64 vs 0"),
        "input": InputError("not to be saved"),
        "unpicklable": _Unpicklable(threading.Lock()),
    }

    def write(folder: Path, failure: Exception | None) -> list[str]:
        (folder / f"rank{comm.rank}.bin").write_bytes(payload(1, comm.rank, 1000))
        if failure is not None and comm.rank == config["failing_rank"]:
            raise failure
        return [f"rank{comm.rank}.bin"]

    save_checkpoint(root, 1, {}, lambda folder: write(folder, None), comm)
    raised: dict[str, list[str]] = {}
    for name, failure in failures.items():
        try:
            save_checkpoint(root, 2, {}, lambda folder, failure=failure: write(folder, failure), comm)
        except SnwError as error:
            raised[name] = [type(error).__name__, str(error)]
    leave(runtime, "raised", raised)
    same_name = config["failing_rank"] == 1
    save_checkpoint(root, 3, {}, lambda folder: write(folder, None if same_name else failures["os"]) and ["a"], comm)


class _Unpicklable(Exception):
    pass


def steps(config: Config, runtime: Runtime) -> None:
    """Steps of uneven length until all ranks agree to stop; `guard` replaces the one of the job."""
    with _guard(config, runtime) as guard:
        step = 0
        leave(runtime, "handlers", signal.getsignal(signal.SIGTERM) == guard._handle)
        while not guard.should_stop():
            step += 1
            time.sleep(random.uniform(0.001, 0.01) * (1 + runtime.comm.rank))
            if step == 5:
                leave(runtime, "running")
            if step > 5000:
                raise AssertionError("nobody asked to stop")
        time.sleep(config.get("linger_s", 0.0))
        leave(runtime, "stopped", {"step": step, "signals": guard.num_signals})
        raise Preempted("asked to stop; all is saved")


def idle(config: Config, runtime: Runtime) -> None:
    """Wait for nobody, longer than any test."""
    leave(runtime, "running")
    time.sleep(300)


def _guard(config: Config, runtime: Runtime) -> PreemptionGuard:
    time_left_s = config.get("time_left_s", {}).get(str(runtime.comm.rank))
    return PreemptionGuard(runtime.comm, time_left_s, config.get("watchdog_s", 60.0))


def saves(config: Config, runtime: Runtime) -> None:
    """Resume and save step after step, each one twice now and then; rank 0 notes what is committed."""
    folder, attempt = Path(config["root"]).parent, config.get("attempt", runtime.attempt)
    with claimed_together(runtime.comm, lambda: Fence(folder, attempt)) as fence:
        _save_steps(config, runtime, fence)


def _save_steps(config: Config, runtime: Runtime, fence: Fence) -> None:
    comm, root, size = runtime.comm, Path(config["root"]), config["size"]
    found = find_checkpoint(root, comm)
    leave(runtime, "resumed", None if found is None else found.step)

    def write(step: int) -> Callable[[Path], list[str]]:
        def write_files(folder: Path) -> list[str]:
            name = f"nested/rank{comm.rank}.bin"
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(payload(step, comm.rank, size))
            return [name]

        return write_files

    for step in range(0 if found is None else found.step, config["num_steps"]):
        # Also the step that was resumed from, as after a stop before the first step.
        for number in (step, step + 1) if step % 3 == 0 and step > 0 else (step + 1,):
            save_checkpoint(root, number, {"position": number}, write(number), comm, lambda: fence.check())
        comm.on_rank_0(lambda: len(prune_checkpoints(root, 2)))
        leave(runtime, "committed", step + 1)
        comm.max(step)
    leave(runtime, "finished", config["num_steps"])


def job_guard(config: Config, runtime: Runtime) -> None:
    for _ in range(500):
        if runtime.guard.should_stop():
            raise Preempted("the time is over")
        time.sleep(0.01)


def limited(config: Config, runtime: Runtime) -> None:
    """Add `gain` to what earlier attempts have saved, and work until the stop, for `work_s` at least."""
    done = config["gain"] * (config["from"] + 1)
    runtime.progress.update("steps", done, 100, "steps")
    leave(runtime, "working")
    time.sleep(config["work_s"])
    while not runtime.guard.should_stop():
        time.sleep(0.01)
    raise Preempted("asked to stop; all is saved", done)


def fill_disk(config: Config, runtime: Runtime) -> None:
    """Nothing is free at the end, not even for the outcome."""

    def write(folder: Path) -> list[str]:
        with (runtime.job_folder / "rest").open("wb", buffering=0) as file:
            for _ in range(4000):
                file.write(bytes(512))
        raise OSError(28, "No space left on device")  # where the test may not mount a small disk

    save_checkpoint(runtime.job_folder / "checkpoints", 1, {}, write, runtime.comm)


def fail_alone(config: Config, runtime: Runtime) -> None:
    if runtime.comm.rank == config["failing_rank"]:
        raise InputError(f"only rank {runtime.comm.rank} saw this")
    runtime.comm.barrier()
