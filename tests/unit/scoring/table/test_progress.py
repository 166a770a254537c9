"""Lines of progress: now and then, and about the rows of this run."""

from __future__ import annotations

import logging

import pytest

from snw_dist.scoring.table.progress import _lines


def test_what_an_earlier_run_has_scored_does_not_count(caplog: pytest.LogCaptureFixture) -> None:
    clock = [0.0]
    done = _lines(1000, lambda: clock[0])
    log = logging.getLogger("hpc.told")
    log.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "hpc.told"):
            for clock[0], rows, scored in (
                (50.0, 500, 0),
                (55.0, 550, 50),
                (62.0, 560, 60),
                (70.0, 700, 200),
                (71.0, 710, 210),
            ):
                done(rows, scored)
    finally:
        log.removeHandler(caplog.handler)
    lines = list(dict.fromkeys(caplog.messages))
    assert lines == [
        "550 of 1,000 rows, 10 rows/s, 45.0 s left",
        "700 of 1,000 rows, 10 rows/s, 30.0 s left",
    ]
