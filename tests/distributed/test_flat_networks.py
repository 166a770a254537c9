"""One parameter in place of many: the same steps, and the same files; on two ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.kit.ranks import run_ranks

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(300)]


def test_a_flat_network_trains_and_is_saved_like_a_plain_one(tmp_path: Path) -> None:
    for rank in run_ranks("tests.kit.flat_training:flat_and_plain", 2, {}, tmp_path, timeout_s=250):
        assert rank.returncode == 0, rank.log
    for number in range(2):
        found = json.loads((tmp_path / "job" / f"flat-rank{number}.json").read_text())
        for case, of_case in found.items():
            plain, flat, rounding = of_case["plain"], of_case["flat"], 1e-5 if "fp32" in case else 1e-2
            assert plain["num_parameters"] > 30
            assert flat["num_parameters"] == 1
            for what in ("losses", "norms", "next"):
                np.testing.assert_allclose(flat[what], plain[what], rtol=rounding, err_msg=case)
            assert flat["suspect"] == plain["suspect"] is not None, case
            for kind in (plain, flat):  # what one has written, the other goes on from
                for read in kind["read"]:
                    assert read["same"], case
                    assert read["facts"], case
                    assert read["next"] == pytest.approx(kind["next"], rel=rounding), case
