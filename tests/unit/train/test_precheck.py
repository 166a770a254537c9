"""What is refused before a job is submitted."""

from __future__ import annotations

import pytest
import torch

from hpc.errors import EnvironmentProblem
from snw_dist.train.precheck import check_precision


def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(EnvironmentProblem, match="Use 'bf16' or 'fp32'") as caught:
        check_precision("fp16", "cpu")
    assert caught.value.exit_code == 4
    check_precision("fp16", "cuda")  # the nodes may have one
    check_precision("bf16", "cpu")
    check_precision("fp32", "auto")


@pytest.mark.parametrize("available", [True, False])
def test_fp16_on_a_machine_that_chooses_itself(available: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    if available:
        check_precision("fp16", "auto")
    else:
        with pytest.raises(EnvironmentProblem, match="fp16"):
            check_precision("fp16", "auto")
