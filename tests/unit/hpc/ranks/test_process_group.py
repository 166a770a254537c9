import json
from pathlib import Path

import pytest
import torch

from hpc.errors import EnvironmentProblem, ExitCode, InputError
from hpc.ranks.process_group import choose_device
from tests.kit.ranks import run_ranks, start_ranks


def test_device() -> None:
    assert choose_device("cpu", 3) == torch.device("cpu")
    for other in ("gpu", "cuda:1", None):
        with pytest.raises(InputError, match=r"^device .*: give .auto., .cpu. or .cuda.\.$"):
            choose_device(other, 0)  # type: ignore[arg-type]
    num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if num_devices:
        assert choose_device("auto", num_devices + 1) == torch.device("cuda", (num_devices + 1) % num_devices)
    else:
        assert choose_device("auto", 1) == torch.device("cpu")
        with pytest.raises(EnvironmentProblem, match="no CUDA device") as raised:
            choose_device("cuda", 0)
        assert raised.value.exit_code == ExitCode.ENVIRONMENT


def test_a_rank_alone(tmp_path: Path) -> None:
    [done] = run_ranks("collectives", 1, {}, tmp_path)
    assert (done.returncode, done.outcome["message"]) == (0, "done"), done.log
    found = json.loads((tmp_path / "job" / "found-rank0.json").read_text())
    assert found == {
        "any_of": [True, False, True],
        "any": [True, False, True],
        "max": [0, -1],
        "sum": [(0.1).hex(), (1e16).hex()],
        "sums": [(0.1).hex(), (1e16).hex()],
        "broadcast": [{"from": 0}, "x"],
        "gather": [["rank", 0, ""]],
        "on_rank_0": 0,
        "refused": "refused by rank 0",
        "agreed": "",
        "still": 1.0,
    }


def test_without_rank_0_the_others_give_up(tmp_path: Path) -> None:
    with start_ranks("nothing", 2, {}, tmp_path, present=[1], startup_deadline_s=1.0) as ranks:
        [done] = ranks.finish(60)
    assert done.returncode == ExitCode.ENVIRONMENT
    assert "cannot reach rank 0" in done.outcome["message"]
    assert "has not published its address" in done.outcome["message"]
    assert not (tmp_path / "job" / "started-rank1.json").exists()
