"""Curves of a growing file: what is kept, and that nothing is read twice."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hpc import curves
from hpc.curves import MOST_POINTS, CurveFile, Wanted

WANTED = (Wanted("training", "loss", "train", "loss"), Wanted("AUROC", "AUROC", "validation", "auroc"))


def line(step: int, kind: str = "train", **values: object) -> str:
    return json.dumps({"kind": kind, "step": step, **values}) + "\n"


def test_a_growing_file_is_read_on_from_where_it_was_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "metrics.jsonl", list[int]()
    pread = os.pread

    def counted(descriptor: int, size: int, at: int) -> bytes:
        data = pread(descriptor, size, at)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    file = CurveFile(path, WANTED)
    assert file.read() == []
    path.write_text(line(1, loss=0.5) + line(2, loss=0.25) + line(2, "validation", auroc=0.75)[:20])
    [loss] = file.read()
    assert (loss.name, loss.chart, loss.x, loss.y) == ("training", "loss", [1, 2], [0.5, 0.25])
    with path.open("a") as more:
        more.write(line(2, "validation", auroc=0.75)[20:] + line(3, loss=None) + "rubbish\n" + line(4, loss=0.125))
    loss, auroc = file.read()
    assert (loss.x, auroc.x, auroc.y) == ([1, 2, 4], [2], [0.75])
    assert file.read() == [loss, auroc]
    assert sum(read) == path.stat().st_size


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(1, loss=0.5) + line(2, loss=0.25))
    file = CurveFile(path, WANTED)
    file.read()
    other = tmp_path / "other"
    other.write_text(line(1, loss=0.5) + line(2, loss=0.75) + line(3, loss=0.5))
    other.rename(path)
    assert file.read()[0].y == [0.5, 0.75, 0.5]


def test_of_many_points_few_are_kept_and_the_last_is_among_them(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(line(step, loss=step / 2) for step in range(5001)))
    [curve] = CurveFile(path, WANTED).read()
    assert MOST_POINTS / 2 <= len(curve.x) <= MOST_POINTS + 1
    assert (curve.x[0], curve.x[-1], curve.y[-1]) == (0, 5000, 2500)
    assert len({b - a for a, b in zip(curve.x[:-2], curve.x[1:-1], strict=True)}) == 1


def test_of_a_long_file_the_end_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(line(step, loss=1.0) for step in range(1000)))
    monkeypatch.setattr(curves, "MOST_BYTES", 5 * len(line(999, loss=1.0)) + 7)
    [curve] = CurveFile(path, WANTED).read()
    assert curve.x == [995, 996, 997, 998, 999]


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")
    assert CurveFile(tmp_path / "metrics.jsonl", WANTED).read() == []
