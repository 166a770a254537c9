"""The course of a training: what was written again counts once, and its restarts are on every axis of steps."""

from __future__ import annotations

import dataclasses

import numpy as np

from snw_dist.report.marks import Rules
from snw_dist.report.page import Figure, Says
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.learning import learning_section, records, series, smooth


def test_a_step_that_was_written_again_counts_once() -> None:
    log = [{"kind": "train", "step": step, "loss": loss} for step, loss in ((2, 5.0), (1, 4.0), (2, 3.0))]
    log += [
        {"kind": "validation", "step": 1, "loss": None},
        {"kind": "train", "step": 3, "loss": True},
        {"kind": "save"},
    ]
    steps, values = series(records(log, "train"), "loss")
    assert steps.tolist() == [1, 2, 3]
    assert values[:2].tolist() == [4.0, 3.0]
    assert np.isnan(values[2])
    assert np.isnan(series(records(log, "validation"), "loss")[1]).all()


def test_the_mean_of_neighbours() -> None:
    values = np.array([1.0, np.nan, *np.ones(98)])
    assert np.allclose(smooth(values), 1)
    assert smooth(values[:9])[0] == 1
    line = np.arange(200, dtype=np.float64)
    assert np.allclose(smooth(line)[10:-10], line[10:-10])


def test_restarts_are_marked_on_every_axis_of_steps(run: RunFiles) -> None:
    blocks = learning_section(run).blocks
    panels = [p for block in blocks if isinstance(block, Figure) for p in block.panels if p.x.title == "step"]
    assert len(panels) == 6
    for panel in panels:
        again = {mark.name: mark for mark in panel.marks if isinstance(mark, Rules) and "restart" in mark.name}
        assert {name: mark.at for name, mark in again.items()} == {
            "restart: preempted": (30.0, 60.0),
            "restart: new job": (80.0,),
        }
        assert again["restart: preempted"].texts[0] == "step 30: queued again: preempted"
        assert len({(mark.colour, mark.style) for mark in again.values()}) == 2
    assert "train.epochs: 3, was 2" in " ".join(block.text for block in blocks if isinstance(block, Says))


def test_without_a_log_a_line_says_so(run: RunFiles) -> None:
    [said] = learning_section(dataclasses.replace(run, log=[])).blocks
    assert isinstance(said, Says)
    assert "metrics.jsonl" in said.text


def test_ranks_that_never_waited_have_no_empty_panel(run: RunFiles) -> None:
    def figure(waited_s: float) -> Figure:
        shards = [{"seconds": 10.0, "residues": 500, "waited_for_writer_s": waited_s}]
        blocks = learning_section(dataclasses.replace(run, embedding={"0": shards, "1": shards})).blocks
        return next(block for block in blocks if isinstance(block, Figure) and block.name == "learning_ranks")

    assert [panel.title for panel in figure(1.0).panels] == ["work", "wait for the writer"]
    assert [panel.title for panel in figure(0.001).panels] == ["work"]
    assert "None of them waited for long" in figure(0.001).says


def test_where_nobody_waited_for_data_there_is_no_empty_panel(run: RunFiles) -> None:
    def figure(data_wait_s: float) -> Figure:
        log = [{**record, "data_wait_s": data_wait_s} for record in run.log]
        blocks = learning_section(dataclasses.replace(run, log=log)).blocks
        return next(block for block in blocks if isinstance(block, Figure) and block.name == "learning_speed")

    assert [panel.title for panel in figure(0.001).panels] == ["speed", "wait for data"]  # of 0.1 s
    assert [panel.title for panel in figure(0.0001).panels] == ["speed"]
    assert "hardly waited for data" in figure(0.0001).says
