"""Resume with another number of ranks or ZeRO stage; all pairs are tried by `python -m tests.bench.elastic`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import pytest

from hpc.save.checkpoint import checkpoint_name
from snw_dist.config import Precision
from tests.bench.elastic import STAGES, Case, Setting, differences, embedded, name_of, setting_name

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(600)]


def some_cases() -> list[Case]:
    """From four sources to two others each: every stage and every number of ranks both ways."""
    others = [(stage, step) for stage in STAGES for step in (1, 2)]
    return [
        Case(Setting(stage + 1, stage), Setting((stage + 2 * step + 1) % 4 + 1, (stage + step) % 4))
        for stage, step in others
    ]


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


@pytest.mark.parametrize(("before", "after"), [("fp32", "bf16"), ("bf16", "fp32")])
def test_another_precision_goes_on_from_the_same_masters(tmp_path: Path, before: Precision, after: Precision) -> None:
    """Near the losses of the old precision, as three digits of bfloat16 allow, and not at them."""
    case = Case(Setting(2, 1), Setting(2, 3))
    found = differences(embedded(tmp_path, before), [case], 6, tmp_path, after)
    assert 0 < found[case] < 2e-2


@pytest.mark.parametrize(
    ("mode", "case"),
    [("lora", Case(Setting(2, 1), Setting(3, 3))), ("full", Case(Setting(2, 3), Setting(1, 0)))],
)
def test_a_tuned_encoder_goes_on_in_another_setting(tmp_path: Path, mode: Literal["lora", "full"], case: Case) -> None:
    """ESM C's parameters, or its updates, are a part of the portable state like those of the network."""
    base = embedded(tmp_path)
    base = dataclasses.replace(base, train=dataclasses.replace(base.train, encoder_mode=mode))
    found = differences(base, [case], 4, tmp_path)
    assert found[case] < 2e-5


def test_the_loss_goes_on_as_if_nothing_had_changed(tmp_path: Path) -> None:
    cases = some_cases()
    assert {case.source.world_size for case in cases} == {case.target.world_size for case in cases} == {1, 2, 3, 4}
    found = differences(embedded(tmp_path), cases, 6, tmp_path)
    assert max(found.values()) < 2e-5, found
