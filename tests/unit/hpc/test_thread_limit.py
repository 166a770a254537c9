"""A limit of processes is named, where Python, a library or the system only says that something is unavailable."""

import errno
import os
import subprocess
import sys
from pathlib import Path

from hpc.disk.storage import storage_problem
from hpc.submit.schedulers import Seen
from hpc.thread_limit import is_thread_limit
from tests.kit.ranks import REPOSITORY

STARVED = """
import os, resource, sys, threading
from hpc.thread_limit import is_thread_limit, thread_limit_text
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)  # root has no such limit
resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
try:
    threading.Thread(target=print).start()
except RuntimeError as error:
    print(is_thread_limit(str(error)), thread_limit_text())
"""


def test_a_real_limit_is_named() -> None:
    command = [sys.executable, "-S", "-c", STARVED]
    env = {"PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("True no further process or thread can be started; the limit is 1 for all"), done
    assert "OMP_NUM_THREADS=1" in done.stdout


def test_fork_that_fails_and_words_of_libraries() -> None:
    problem = storage_problem(BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), Path("/run"))
    assert "no further process or thread can be started; the limit is" in str(problem)
    assert is_thread_limit("OpenBLAS blas_thread_init: pthread_create failed for thread 3 of 64")
    assert is_thread_limit("libgomp: Thread creation failed: Resource temporarily unavailable")
    assert not is_thread_limit("ValueError: a defect")


def test_a_library_that_has_ended_the_rank_is_explained(job, scheduler) -> None:  # type: ignore[no-untyped-def]
    job.log_path(0).write_text("libgomp: Thread creation failed: Resource temporarily unavailable\n")
    scheduler.seen = Seen("ended", "FAILED")
    job.poll()
    scheduler.now += 30
    assert "the limit is" in job.poll().message
    assert str(job.log_path(0)) in job.poll().message
