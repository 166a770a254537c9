"""What the system refuses is told with the file, the room left and the fix."""

import errno
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc.disk.files import atomic_write_bytes
from hpc.disk.storage import check_room, storage_problem, stored_below
from hpc.errors import EnvironmentProblem, ExitCode
from tests.kit.ranks import REPOSITORY, names, small_disk


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (errno.ENOSPC, ExitCode.CORRUPT, r"/x/y: could not be written: No space left on device; .* GB are free there"),
        (errno.EDQUOT, ExitCode.CORRUPT, "quota raised"),
        (errno.EFBIG, ExitCode.CORRUPT, "ulimit -f"),
        (errno.EIO, ExitCode.CORRUPT, "Input/output error"),
        (errno.EROFS, ExitCode.ENVIRONMENT, "/x/y: Read-only file system"),
        (errno.EACCES, ExitCode.ENVIRONMENT, "/x/y: Permission denied"),
        (errno.EMFILE, ExitCode.ENVIRONMENT, "ulimit -n"),
        (errno.ESTALE, ExitCode.ENVIRONMENT, "/x/y: Stale file handle"),
    ],
)
def test_each_refusal_has_its_code_and_its_fix(number: int, code: ExitCode, said: str) -> None:
    problem = storage_problem(OSError(number, "other words", "/x/y"), Path("/folder"))
    assert problem is not None
    assert problem.exit_code == code
    assert re.search(said, str(problem))


def test_an_error_without_a_file_is_ours_unless_the_disk_is_full() -> None:
    assert storage_problem(ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Path("/folder")) is None
    assert str(storage_problem(OSError(errno.ENOSPC, "full"), Path("/folder"))).startswith("/folder: could not")


def test_a_full_disk_names_the_file_that_was_to_be_written(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk, pytest.raises(OSError) as caught:
        atomic_write_bytes(disk / "table.json", bytes(2_000_000))
    assert caught.value.filename == str(disk / "table.json")
    assert names(tmp_path / "disk") == []


def test_what_does_not_fit_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders of one disk count together, also those that are not there yet."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    check_room({tmp_path / "a" / "b": 500, tmp_path: 500})
    with pytest.raises(EnvironmentProblem, match=rf"^{tmp_path}/a: about 1,001 bytes .* and 1,000 are free there"):
        check_room({tmp_path / "a": 501, tmp_path: 500})


@pytest.mark.parametrize("limit", [0, 1000])
def test_a_command_under_a_limit_of_file_sizes(tmp_path: Path, limit: int) -> None:
    """The limit stops the first or a later file of `prepare`; either is exit 3 and leaves nothing half done."""
    (tmp_path / "ligands.fasta").write_text("".join(f">l{i}\n{'ACDEFGHIKLMNPQRSTVWY' * 20}\n" for i in range(200)))
    (tmp_path / "receptors.fasta").write_text(">r1\nMKVLAWYHHTE\n")
    rows = (f"l{i},r1,{i % 2},{['train', 'val', 'test'][i // 2 % 3]}" for i in range(200))
    (tmp_path / "pairs.csv").write_text("ligand_id,receptor_id,label,split\n" + "\n".join(rows) + "\n")
    (tmp_path / "SNW_config.json").write_text(
        '{"data": {"ligands": "ligands.fasta", "receptors": "receptors.fasta", "pairs": "pairs.csv"}}'
    )
    done = subprocess.run(
        [sys.executable, REPOSITORY / "launch" / "prepare.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == ExitCode.CORRUPT, done.stderr
    assert done.stderr.startswith("error: ")
    assert "ulimit -f" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("runs/*/*"))


def test_what_is_stored_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name, size, seconds in (("a/x", 10, 50), ("a/b/y", 5, 70)):
        (tmp_path / name).write_bytes(bytes(size))
        os.utime(tmp_path / name, (seconds, seconds))
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "x")
    assert stored_below(tmp_path) == (15, 70)
    assert stored_below(tmp_path / "not there") == (0, 0)
