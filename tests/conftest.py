"""What holds for every test: few threads, no network, no windows, and how tests are shared between processes."""

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.faults.promises_plugin import PromisesPlugin

# Before numpy or torch is imported. Each of pytest-xdist's processes would otherwise start a thread for every core.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["MPLBACKEND"] = "Agg"

# A font cache of this session's own, whatever the home folder is like; the processes of pytest-xdist inherit it.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["MPLCONFIGDIR"] = tempfile.mkdtemp(prefix="snw-test-matplotlib-")
    atexit.register(shutil.rmtree, os.environ["MPLCONFIGDIR"], ignore_errors=True)

settings.register_profile("no clocks", deadline=None)  # a busy machine is no mistake
settings.load_profile("no clocks")

# Behind nohup, or in the background of a script, all processes of the tests would ignore SIGHUP or SIGINT, and those
# that a test ends with it would not end. What has a handler in place of "ignored" begins with the default after `exec`.
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--promises", metavar="FILE", help="only the tests of tests/faults/promises.py; their table as JSON"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--promises"):
        config.pluginmanager.register(PromisesPlugin(Path(config.getoption("--promises")).absolute()), "promises")


_FIRST = ("slurm", "faults", "distributed")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Groups for `--dist loadgroup`: all Slurm tests in one process, the others by file; long ones come first.

    Run with `--no-loadscope-reorder`, or pytest-xdist would begin with the groups that have most tests.
    """

    def rank(item: pytest.Item) -> int:
        return next((i for i, name in enumerate(_FIRST) if item.get_closest_marker(name)), len(_FIRST))

    items.sort(key=rank)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            file = str(Path(item.path).relative_to(config.rootpath))
            item.add_marker(pytest.mark.xdist_group("slurm" if rank(item) == 0 else file))
