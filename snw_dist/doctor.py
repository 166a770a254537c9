"""Would a job of this run work? Every check that costs seconds, on the very nodes it would run on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.table import Table
from rich.text import Text

from hpc.disk.files import atomic_write_json
from hpc.disk.reading import read_json
from hpc.errors import CorruptError, EnvironmentProblem, SnwError
from hpc.job.run import stop_margin_s
from hpc.job.runtime import Runtime
from hpc.ranks.preflight import Check, refuse_problems, same_on_all
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.encoder import RANDOM_NAME
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.weights.files import locate_weights
from snw_dist.embedding.weights.read import read_shape
from snw_dist.model.build import count_parameters
from snw_dist.train.engine import prepare_deepspeed
from snw_dist.train.precheck import check_precision
from snw_dist.train.shared_buffers import check_buffers

RESULT = "doctor.json"
_TRIAL_BYTES = 64 * 2**20
_STYLES = {"ok": "green", "warning": "yellow", "problem": "red"}
_USUAL_WIDTH = 960  # of the rows, where there is no store yet: that of ESM C 300M
_BYTES_PER_PARAMETER = 12  # of a checkpoint: float32 master and two moments


def run_doctor(values: dict[str, Any], runtime: Runtime) -> None:
    """Entry point: leave all answers in `doctor.json` of the run folder; exit 4 with a line for each problem."""
    config, comm = config_from_dict(values), runtime.comm
    device = runtime.device
    speed = _write_speed(runtime)
    checks = [
        *runtime.checks,
        _tried(runtime, "precision", lambda: _precision(config, device)),
        check_buffers(runtime),
        _tried(runtime, "DeepSpeed", lambda: _deepspeed(device)),
        _tried(runtime, "encoder weights", lambda: _weights(config)),
        _same_everywhere(runtime, "data", config.data_folder, "prepare", lambda: _data_digest(config)),
        _same_everywhere(runtime, "store", config.store_path, "embed", lambda: _store_digest(config)),
        _collectives(runtime, device),
        _tried(runtime, "checkpoint", lambda: _saves(config, runtime, speed)),
    ]
    if comm.rank == 0:
        atomic_write_json(config.run_folder / RESULT, [check._asdict() for check in checks])
    refuse_problems(checks)


def _answers(runtime: Runtime, name: str, question: Callable[[], str]) -> list[Check]:
    """Collective: what `question()` came to on every rank; an `SnwError` is a problem."""
    try:
        answer = Check(name, "ok", question())
    except SnwError as error:
        answer = Check(name, "problem", f"rank {runtime.topology.rank} on {runtime.topology.host}: {error}")
    return [Check(*given) for given in runtime.comm.gather(answer)]


def _tried(runtime: Runtime, name: str, question: Callable[[], str]) -> Check:
    """Collective: rank 0's answer; the first problem of any rank is that of all."""
    answers = _answers(runtime, name, question)
    return next((given for given in answers if given.status == "problem"), answers[0])


def _same_everywhere(runtime: Runtime, name: str, path: Path, command: str, digest: Callable[[], str]) -> Check:
    """Collective: what is there already must be the same on all ranks; what is on none of them is only said."""
    if not runtime.comm.any(path.exists()):
        return Check(name, "warning", f"{path} is not there yet: snw-dist {command}")
    answers = _answers(runtime, name, digest)
    fix = "Look at the paths and the mounts of that node, then submit again."
    problem = next((given for given in answers if given.status == "problem"), None)
    return problem or same_on_all(name, [given.text for given in answers], fix)


def _data_digest(config: SnwConfig) -> str:
    files = load_prepared(config.data_folder).summary["files"]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:12]


def _store_digest(config: SnwConfig) -> str:
    return StoreReader(config.store_path).header.rows_digest[:12]


def _precision(config: SnwConfig, device: torch.device) -> str:
    check_precision(config.train.precision, device.type)
    return f"{config.train.precision} on {device.type}"


def _deepspeed(device: torch.device) -> str:
    prepare_deepspeed(device)
    return "imported" if device.type == "cuda" else "imported, its extension is compiled"


def _weights(config: SnwConfig) -> str:
    """Compute nodes often have no network: a hub id must be in a cache that they see."""
    encoder = config.encoder
    if encoder.name == RANDOM_NAME or encoder.weights is None:
        return f"{RANDOM_NAME}: random, for demonstrations and tests only"
    found, shape = locate_weights(encoder.weights, encoder.revision), read_shape(encoder.weights, encoder.revision)
    return f"{found.path}: {shape.num_layers} layers of width {shape.d_model}"


def _collectives(runtime: Runtime, device: torch.device) -> Check:
    """What a step of training pays for being several ranks."""
    if runtime.comm.world_size == 1:
        return Check("network", "ok", "one rank")
    seconds = {}
    for name, count, repeats in (("small", 1, 50), ("large", 4 * 2**20, 5)):
        tensor = torch.zeros(count, device=device)
        taken = []
        for _ in range(repeats):
            started = time.perf_counter()
            dist.all_reduce(tensor)
            float(tensor[0])
            taken.append(time.perf_counter() - started)
        seconds[name] = statistics.median(taken)
    text = f"all-reduce of 4 bytes {seconds['small'] * 1e6:.0f} us, of 16 MB {seconds['large'] * 1e3:.1f} ms"
    return Check("network", "ok", f"{text} ({dist.get_backend()})")


def _write_speed(runtime: Runtime) -> float:
    """Collective: bytes a second that the slowest rank writes durably into the run folder, all at the same time."""
    file = runtime.job_folder / f".trial-{runtime.comm.rank}"
    content = os.urandom(2**20)
    runtime.comm.barrier()
    started = time.perf_counter()
    with file.open("wb") as out:
        for _ in range(_TRIAL_BYTES // len(content)):
            out.write(content)
        out.flush()
        os.fsync(out.fileno())
    seconds = time.perf_counter() - started
    file.unlink()
    return _TRIAL_BYTES / max(runtime.comm.gather(seconds))


def _saves(config: SnwConfig, runtime: Runtime, bytes_per_s: float) -> str:
    """A job that stops itself before its limit must have written its checkpoint by then."""
    width = StoreReader(config.store_path).header.row_width if config.store_path.exists() else _USUAL_WIDTH
    size = count_parameters(config.model, width) * _BYTES_PER_PARAMETER
    seconds = size / runtime.comm.world_size / bytes_per_s
    text = f"{size / 1e6:.1f} MB in about {seconds:.1f} s, {bytes_per_s / 1e6:.0f} MB/s and rank"
    free, kept = shutil.disk_usage(config.run_folder).free, config.train.keep_last + 2  # the best, and the next one
    if free < kept * size:
        raise EnvironmentProblem(
            f"{text}; {kept} of them do not fit into the {free / 1e6:.0f} MB that are free. Make room, or change "
            "run.folder."
        )
    if runtime.time_limit_s is None:
        return text
    margin = stop_margin_s(runtime.time_limit_s)
    if seconds > margin / 2:
        raise EnvironmentProblem(
            f"{text}, but the job stops itself only {margin:.0f} s early. Ask for more time (--time-min), for more "
            "ranks, or for a faster file system."
        )
    return f"{text}; the job stops itself {margin:.0f} s before its limit"


def _read_checks(file: Path) -> list[Check]:
    try:
        checks = [Check(**values) for values in read_json(file, 2**20)]
        texts = [text for check in checks for text in check]
        if all(isinstance(text, str) for text in texts) and {check.status for check in checks} <= set(_STYLES):
            return checks
    except (OSError, ValueError, TypeError):
        pass
    raise CorruptError(f"{file}: damaged. Remove it and start the doctor again.")


def checks_table(run_folder: Path) -> Table | None:
    """What the last `run_doctor` of the run has left, for a terminal; None where it did not come so far."""
    file = run_folder / RESULT
    if not file.exists():
        return None
    table = Table("check", "", "found")
    for check in _read_checks(file):
        table.add_row(check.name, Text(check.status, _STYLES[check.status]), Text(check.text))
    return table
