"""What a screen costs, in words, and that it fits on the disk."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc.errors import EnvironmentProblem
from snw_dist.screen import preflight
from snw_dist.screen.asked import Asked, prepared_screen
from snw_dist.screen.preflight import Estimate

SMALL = Estimate(
    pairs=100,
    operations=6400,
    residues=1000,
    vector_bytes=500,
    list_bytes=40,
    result_bytes=3000,
    residues_per_s=10.0,
    pairs_per_s=1.0,
    device="cpu",
)


@pytest.mark.parametrize("busy", [False, True])
def test_times_are_told_in_their_units(busy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "is_busy", lambda: busy)
    last = SMALL.lines()[-1]
    assert "about 3 min 20 s for one such process, and a tenth of that for ten of them (--array 10)" in last
    assert ("This machine is busy with other work" in last) == busy
    assert "about 11 days 13 h for one" in replace(SMALL, pairs=1_000_000).lines()[-1]


def test_what_is_there_already_needs_no_room(tmp_path: Path) -> None:
    to, vectors = tmp_path / "to", tmp_path / "vectors"
    assert SMALL.room(to, vectors, exact=True) == {to: 3040, vectors: 500}
    assert SMALL.room(to, vectors, exact=False) == {to: 40, vectors: 500}
    vectors.mkdir()
    (vectors / "block").write_bytes(bytes(450))
    assert SMALL.room(to, vectors, exact=False)[vectors] == 50


def test_a_screen_that_does_not_fit_is_refused_before_anything_is_written(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9_000))
    with pytest.raises(EnvironmentProblem, match=r"screen: about .* bytes are to be written, and 9,000 are free there"):
        prepared_screen(replace(asked, top=43))
    assert not asked.to.exists()
