"""`prepare` is killed while MMseqs2 runs: nothing of it goes on, and nothing of it is left in the temporary folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc.machine.processes import process_started

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "tests" / "data" / "mhc_binding"
# As the real one: the program starts a shell script, whose children do the work in files of the temporary folder.
STAND_IN = """#!/bin/sh
[ "$1" = version ] && echo 13 && exit
echo work > "$4.work"
sh -c 'trap "" TERM HUP INT; echo $$ > "$0"; sleep 300 & wait' "$STARTED" &
wait
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_mmseqs_ends_with_prepare(number: signal.Signals, tmp_path: Path) -> None:
    programs, temporary, started = tmp_path / "bin", tmp_path / "temporary", tmp_path / "started"
    for folder in (programs, temporary):
        folder.mkdir()
    (programs / "mmseqs").write_text(STAND_IN)
    (programs / "mmseqs").chmod(0o755)
    for name in ("ligands.fasta", "receptors.fasta"):
        (tmp_path / name).write_text(">a\nACDEFGHIKLMNPQ\n>b\nMKVLAWYHHTE\n>c\nGGSTPLKNQRDE\n")
    (tmp_path / "pairs.csv").write_text(
        "ligand_id,receptor_id,label\n" + "".join(f"{a},{b},1\n" for a in "abc" for b in "abc")
    )
    config = {"run": {"name": "killed"}, "data": {"split": {"method": "ligand_cold", "clusters": "mmseqs2"}}}
    (tmp_path / "SNW_config.json").write_text(json.dumps(config))
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(temporary),
        "STARTED": str(started),
    }
    with (tmp_path / "printed").open("wb") as printed:
        prepare = subprocess.Popen(
            [sys.executable, ROOT / "launch" / "prepare.py"],
            cwd=tmp_path,
            env=environment,
            stdout=printed,
            stderr=printed,
        )
    end = time.monotonic() + 60
    while not (started.exists() and started.read_text().strip()):
        assert prepare.poll() is None, (tmp_path / "printed").read_text()
        assert time.monotonic() < end
        time.sleep(0.02)
    grandchild = int(started.read_text())
    assert process_started(grandchild)
    assert list(temporary.glob("snw-mmseqs-*/*"))
    prepare.send_signal(number)
    assert prepare.wait(20) == (130 if number == signal.SIGINT else -number)
    end = time.monotonic() + 20
    while (process_started(grandchild) or list(temporary.iterdir())) and time.monotonic() < end:
        time.sleep(0.02)
    if still_there := process_started(grandchild) is not None:
        os.kill(grandchild, signal.SIGKILL)
    assert not still_there
    assert not list(temporary.iterdir())
