"""DeepSpeed's buffers in `/dev/shm`: their size and names against its sources, the room for them, and what was left."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from snw_dist.train.shared_buffers import BUFFER_BYTES, sweep_dead_buffers
from tests.kit.ranks import REPOSITORY, names
from tests.kit.trainings import TRAINING


def test_size_and_name_are_those_of_deepspeed() -> None:
    spec = importlib.util.find_spec("deepspeed")
    assert spec is not None
    assert spec.origin is not None
    source = (Path(spec.origin).parent / "ops/csrc/cpu/comm/shm.cpp").read_text()
    assert re.search(r"#define MAX_BUF_SIZE 1048576 \* 32\n#define NAIVE_ALLREDUCE_THRESHOLD 1048576\n", source)
    assert re.search(r"enum coll_state states\[2\];", source)
    assert "char buffer[2 * NAIVE_ALLREDUCE_THRESHOLD + 2 * MAX_BUF_SIZE];" in source
    assert BUFFER_BYTES == 69_206_024
    assert '#define SHM_BUFFER_NAME "deepspeed_allreduce_buffer"' in source
    assert re.search(r'"%s_%d_%s_%s",\s*SHM_BUFFER_NAME,\s*getuid\(\),\s*addr_string,\s*port_string\)', source)
    assert '"%s_%d", shm_name_prefix, rank' in source


def test_only_what_dead_jobs_of_ours_have_left_is_swept(tmp_path: Path) -> None:
    """A buffer of a job that was just starting was swept by another start beside it, and its ranks waited for ever."""
    uid, old = os.getuid(), time.time() - 3600
    starting = [f"{uid}_127.0.0.1_4711_0", f"{uid}_127.0.0.1_4711_1"]
    others = [f"{uid + 1}_127.0.0.1_4712_0", f"{uid}_x_0"]
    swept = [f"{uid}_127.0.0.1_4712_0", f"{uid}_127.0.0.1_4712_11", f"{uid}_a_host_4712_0"]
    for name in starting + others + swept:
        (tmp_path / f"deepspeed_allreduce_buffer_{name}").touch()
    (tmp_path / f"other_{uid}_127.0.0.1_4712_0").touch()
    for name in others + swept:
        os.utime(tmp_path / f"deepspeed_allreduce_buffer_{name}", (old, old))
    assert len(sweep_dead_buffers(tmp_path)) == len(swept)
    left = [name.removeprefix("deepspeed_allreduce_buffer_") for name in names(tmp_path)]
    assert left == sorted([*starting, *others, f"other_{uid}_127.0.0.1_4712_0"])
    assert sweep_dead_buffers(tmp_path) == []


def test_training_does_not_start_without_room_for_its_buffers(tmp_path: Path) -> None:
    """For real: 16 MB, as containers have them. It is said before any data are looked at."""
    config = {"run": {"name": "r", "folder": str(tmp_path)}, "data": {"ligands": "l", "receptors": "r", "pairs": "p"}}
    request = {"entry_point": TRAINING, "config": config, "job_folder": str(tmp_path)}
    (tmp_path / "request.json").write_text(json.dumps(request | {"device": "cpu"}))
    mounted = "mount -t tmpfs -o size=16m snw-test /dev/shm"
    command = f"{mounted} && exec {sys.executable} -m hpc.job.run {tmp_path}/request.json"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SUBMITIT_"))}
    as_root = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    shell = ["unshare", *as_root, "--mount", "sh", "-c", command]
    done = subprocess.run(shell, cwd=REPOSITORY, env=environ, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 4, done.stderr
    assert "17 MB are free in /dev/shm of" in done.stderr
    assert "need 69 MB there" in done.stderr
    assert "Traceback" not in done.stderr
