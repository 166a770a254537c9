"""Processors that may be used, from files as control groups have them, and that a command keeps to them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpc.job.profile import SiteProfile
from hpc.machine.processors import keep_to_usable_processors, usable_processors
from hpc.submit.executor import _clean_environment

ROOT = Path(__file__).resolve().parents[4]
MANY = set(range(16))
QUOTA, PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("lines", "files", "wanted"),
    [
        ("0::/user/job\n", {"user/job/cpu.max": "400000 100000\n"}, 4),
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000\n", "user/cpu.max": "250000 100000\n"}, 2),
        ("0::/user/job\n", {"user/job/cpu.max": "50000 100000\n"}, 1),
        ("0::/user/job\n", {"user/job/cpu.max": "max 100000\n"}, 16),
        ("0::/user/job\n", {"user/job/cpu.max": "9900000 100000\n"}, 16),
        ("0::/path/of/the/host\n", {"cpu.max": "300000 100000\n"}, 3),
        ("4:cpu,cpuacct:/job\n", {f"cpu,cpuacct/job/{QUOTA}": "500000\n", f"cpu,cpuacct/job/{PERIOD}": "100000\n"}, 5),
        ("4:cpuacct,cpu:/job\n", {f"cpu/{QUOTA}": "600000\n", f"cpu/{PERIOD}": "100000\n"}, 6),
        ("4:cpu:/job\n", {f"cpu/job/{QUOTA}": "-1\n", f"cpu/job/{PERIOD}": "100000\n"}, 16),
        ("4:memory:/job\n", {"memory/job/cpu.max": "100000 100000\n"}, 16),
        ("0::/job\n", {"job/cpu.max": "what is this\n"}, 16),
        (None, {}, 16),
    ],
)  # fmt: skip
def test_the_least_of_what_the_processor_set_and_the_groups_allow(
    lines: str | None, files: dict[str, str], wanted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: MANY)
    proc, groups = tmp_path / "cgroup", tmp_path / "groups"
    if lines is not None:
        proc.write_text(lines)
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    assert usable_processors(proc, groups) == wanted


def test_a_process_that_is_bound_to_one_processor_may_use_one() -> None:
    bind = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    assert _run(f"{bind}; import launch; print(os.environ['OMP_NUM_THREADS'])").stdout == "1\n"


SPY = """
import builtins, os, runpy, sys
load = builtins.__import__
def spy(name, *rest, **more):
    if name.partition(".")[0] in ("numpy", "torch", "sklearn"):
        print(os.environ.get("OMP_NUM_THREADS"), os.environ.get("OMP_WAIT_POLICY"), flush=True)
        os._exit(0)
    return load(name, *rest, **more)
builtins.__import__ = spy
sys.path[0] = "launch"
del sys.argv[0]  # else its own path would be an argument of the command, which is refused before any library is loaded
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Being asked whether it is there loads no library."""


@pytest.mark.parametrize("name", ["prepare", "embed", "train", "evaluate", "compare", "doctor"])
def test_every_command_sets_it_before_a_library_with_threads_is_loaded(name: str) -> None:
    options = ["--models", "siamese,triplet"] if name == "compare" else []
    assert _run(SPY, f"launch/{name}.py", *options).stdout == f"{usable_processors()} PASSIVE\n"


def test_what_the_user_has_set_stays_and_jobs_inherit_only_that(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("hpc.machine.processors._SET_HERE", set())
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    keep_to_usable_processors()
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("7", "PASSIVE")
    with _clean_environment(SiteProfile()):
        assert os.environ["OMP_NUM_THREADS"] == "7"
        assert "OMP_WAIT_POLICY" not in os.environ
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
