"""The table of `make faults`, from a run of a few of its tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("processes", [0, 1])
def test_the_table_counts_what_was_run(tmp_path: Path, processes: int) -> None:
    file = tmp_path / "build" / "faults.json"
    if processes:  # of an earlier run; without `=` pytest would take it for what is to be tested
        file.parent.mkdir()
        file.touch()
    # The Slurm tests are only collected, for their conftest.py: pytest calls plugins in another way when there is one.
    tests = ["tests/slurm", "tests/unit/hpc/save/test_fence.py", "tests/unit/hpc/disk/test_files.py", "-k", "unit"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes)]
    done = subprocess.run([*command, f"--promises={file}", *tests], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["row"]: row for row in json.loads(file.read_text())}
    assert list(rows) == list(range(1, 26))
    assert rows[15]["tried"] == rows[15]["kept_promise"] > 0
    assert [number for number, row in rows.items() if row["tried"]] == [15]
    assert str(file) in done.stdout
