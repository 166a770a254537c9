"""Resume with another number of ranks or ZeRO stage; all pairs are tried by `python -m tests.bench.elastic`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hpc.checkpoint import checkpoint_name
from tests.bench.elastic import EVERY, STAGES, Case, Setting, differences, embedded, name_of, setting_name

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]


def some_cases() -> list[Case]:
    """From every setting to two others, or to itself; every pair of stages occurs."""
    chance, cases = random.Random(4), []
    for number, source in enumerate(EVERY):
        for stage in (STAGES[number // 4], STAGES[(number // 4 + 2) % 4]):
            cases.append(Case(source, Setting(chance.choice([1, 2, 3, 4]), stage)))
    return cases


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_in_the_same_setting_every_bit_of_the_state_is_the_same(tmp_path: Path, precision: str) -> None:
    """With dropout: weights, moments and the random numbers of both ranks, six steps after the resume."""
    cases = [Case(Setting(2, stage), Setting(2, stage)) for stage in STAGES]
    found = differences(embedded(tmp_path, precision, dropout=0.1), cases, 6, tmp_path)
    assert set(found.values()) == {0.0}
    for case in cases:
        ends = [
            tmp_path / name / "checkpoints" / checkpoint_name(10) for name in (setting_name(case.source), name_of(case))
        ]
        undisturbed, resumed = ({f.name: f.read_bytes() for f in end.glob("state_*")} for end in ends)
        assert len(undisturbed) == 2
        assert undisturbed == resumed


def test_the_loss_goes_on_as_if_nothing_had_changed(tmp_path: Path) -> None:
    cases = some_cases()
    assert {(case.source.stage, case.target.stage) for case in cases} == {(a, b) for a in STAGES for b in STAGES}
    found = differences(embedded(tmp_path), cases, 6, tmp_path)
    assert max(found.values()) < 2e-5, found
