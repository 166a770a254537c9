"""`launch/export.py`: a bundle by the command that a user types, and one clear line where there can be none."""

from __future__ import annotations

from pathlib import Path

import pytest

from snw_dist.bundle.read import open_bundle
from tests.kit.bundle_tools import embedded_project, measured_run
from tests.kit.tiny import launched


def test_a_bundle_and_its_chain(tmp_path: Path) -> None:
    measured_run(tmp_path)
    done = launched(
        tmp_path, "export", "--to", "für dich", "--calibration-split", "test", "--set", "data.license=CC BY 4.0"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Members: tiny" in done.stdout
    assert done.stdout.endswith(" s: the scores of its ten pairs are those of the evaluation.\n")
    assert "calibration_pairs.json" in open_bundle(tmp_path / "für dich").says.files
    assert open_bundle(tmp_path / "für dich").says.licences["data"] == "CC BY 4.0"
    (tmp_path / "für dich" / "more.pkl").touch()
    done = launched(tmp_path, "export", "--verify", "für dich")
    assert done.returncode == 3
    assert done.stderr.startswith("error: für dich/more.pkl: bundle.json names no such file.")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "snw-dist train"),
        (("--members", "all"), "snw-dist compare"),
        (("--members", ""), "--members: give all, best, or networks and runs by their names."),
        (("--verify", "x"), "no bundle here"),
        (("--verify", "x", "--to", "y"), "--verify makes nothing: leave --members, --to"),
        (("--run", "typo"), "runs/typo: no such run: there are tiny. Name another, or train it first: --run NAME"),
        (("--run", "../x", "--to", "y"), "error: --run: run.name: "),
    ],
)
def test_what_is_not_there(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    embedded_project(tmp_path)
    done = launched(tmp_path, "export", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
