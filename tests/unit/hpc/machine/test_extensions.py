import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.machine.extensions import extensions_build_lock, prepare_extensions_folder

REPOSITORY = Path(__file__).parents[4]
# torch's own file, without the seconds that importing all of torch takes
BATON = """
import importlib.util, pathlib
root = pathlib.Path(importlib.util.find_spec("torch").origin).parent
spec = importlib.util.spec_from_file_location("file_baton", root / "utils" / "file_baton.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
FileBaton = module.FileBaton
"""


def start(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", BATON + textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SNW_EXTENSIONS_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "to be replaced")
    return prepare_extensions_folder({"torch": "2.13.0+cpu", "deepspeed": "0.19.8"})


def test_the_ninja_beside_the_interpreter_is_taken(tmp_path, monkeypatch):
    """Not the one of the system: each would compile anew what the other has made."""
    other = tmp_path / "ninja"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SNW_EXTENSIONS_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "to be replaced")
    prepare_extensions_folder({"torch": "2.13.0+cpu"})
    assert shutil.which("ninja") == str(Path(sys.executable).parent / "ninja")


def test_folder_is_private_versioned_and_announced(folder, tmp_path):
    assert os.environ["TORCH_EXTENSIONS_DIR"] == str(folder)
    assert folder.is_relative_to(tmp_path / "base")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert "deepspeed0.19.8-torch2.13.0+cpu" in folder.name
    assert prepare_extensions_folder({"deepspeed": "0.19.8", "torch": "2.13.0+cpu"}) == folder
    assert prepare_extensions_folder({"deepspeed": "0.19.9", "torch": "2.13.0+cpu"}) != folder
    assert prepare_extensions_folder({"../../x": "a/b"}).parent == folder.parent


def test_node_local_by_default(tmp_path, monkeypatch):
    monkeypatch.delenv("SNW_EXTENSIONS_DIR", raising=False)
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert prepare_extensions_folder({"torch": "2"}).is_relative_to(tmp_path)


def test_places_of_others_are_refused(folder, tmp_path, monkeypatch):
    folder.chmod(0o777)
    with pytest.raises(EnvironmentProblem, match="chmod 700"):
        prepare_extensions_folder({"torch": "2.13.0+cpu", "deepspeed": "0.19.8"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setenv("SNW_EXTENSIONS_DIR", str(elsewhere))
    (elsewhere / f"snw-extensions-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(EnvironmentProblem, match="not a folder of yours"):
        prepare_extensions_folder({"torch": "2"})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SNW_EXTENSIONS_DIR", str(tmp_path / "file"))
    with pytest.raises(EnvironmentProblem, match="SNW_EXTENSIONS_DIR"):
        prepare_extensions_folder({"torch": "2"})


def test_a_killed_builder_stops_nobody(folder):
    build = folder / "deepspeed_shm_comm"
    build.mkdir()
    holder = start(
        """
        import sys, time
        from pathlib import Path
        from hpc.machine.extensions import extensions_build_lock
        with extensions_build_lock(Path(sys.argv[1]), 10):
            assert FileBaton(sys.argv[2]).try_acquire()
            print("building", flush=True)
            time.sleep(600)
        """,
        folder,
        build / "lock",
    )
    with holder:
        assert holder.stdout.readline() == "building\n"
        holder.send_signal(signal.SIGKILL)
    assert (build / "lock").exists()  # the trap: torch would wait for this for ever

    began = time.monotonic()
    successor = start(
        """
        import sys
        from pathlib import Path
        from hpc.machine.extensions import extensions_build_lock
        with extensions_build_lock(Path(sys.argv[1]), 10):
            baton = FileBaton(sys.argv[2])
            assert baton.try_acquire()
            baton.release()
        """,
        folder,
        build / "lock",
    )
    with successor:
        assert successor.wait(timeout=20) == 0
    assert time.monotonic() - began < 10
    assert not (build / "lock").exists()


def test_a_busy_lock_is_waited_for_and_then_named(folder):
    holder = start(
        """
        import sys, time
        from pathlib import Path
        from hpc.machine.extensions import extensions_build_lock
        with extensions_build_lock(Path(sys.argv[1]), 10):
            print("building", flush=True)
            time.sleep(600)
        """,
        folder,
    )
    with holder:
        assert holder.stdout.readline() == "building\n"
        with (
            pytest.raises(EnvironmentProblem, match=r"has held this lock for 0\.3 s"),
            extensions_build_lock(folder, 0.3),
        ):
            pass
        holder.kill()
    with extensions_build_lock(folder, 0.3):
        pass


def test_the_lock_is_let_go_after_an_error(folder):
    with pytest.raises(RuntimeError), extensions_build_lock(folder, 1):
        raise RuntimeError
    with extensions_build_lock(folder, 0.2):
        pass
