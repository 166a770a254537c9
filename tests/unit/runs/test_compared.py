"""How the settings of two runs differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.runs.compared import differences
from snw_dist.trained_run.folder import withdraw_finished
from tests.kit.run_folders import finished_run


def test_only_what_differs_is_said(tmp_path: Path) -> None:
    one = finished_run(tmp_path / "one", 2, best=2, epochs=5, betas=[0.9, 0.98])
    other = finished_run(tmp_path / "other", 2, best=2, epochs=7, betas=[0.9, 0.98], dropout=None)
    assert differences(one, other) == [("train.epochs", "5", "7"), ("train.dropout", "-", "null")]
    assert differences(one, one) == []
    withdraw_finished(other)
    assert differences(one, other)[-1] == ("training pairs", "abababababab", "-")


def test_a_run_without_settings_is_named(tmp_path: Path) -> None:
    one = finished_run(tmp_path / "one", 2, best=2)
    with pytest.raises(InputError, match=r"typo.*it is no run"):
        differences(one, tmp_path / "typo")
    (tmp_path / "new").mkdir()
    with pytest.raises(InputError, match="nothing of it was trained yet"):
        differences(tmp_path / "new", one)
    (tmp_path / "new" / "config.json").write_text("[")
    with pytest.raises(InputError, match="cannot be read"):
        differences(one, tmp_path / "new")
