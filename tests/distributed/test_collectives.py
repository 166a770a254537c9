import json
from pathlib import Path

import pytest

from tests.kit.ranks import Finished, run_ranks

pytestmark = pytest.mark.distributed


def found(folder: Path, name: str, rank: int) -> object:
    return json.loads((folder / "job" / f"{name}-rank{rank}.json").read_text())


def ended(ranks: list[Finished], code: int) -> None:
    assert [rank.returncode for rank in ranks] == [code] * len(ranks), "\n".join(rank.log for rank in ranks)


@pytest.mark.parametrize("world_size", [2, 3])
def test_all_ranks_agree(tmp_path: Path, world_size: int) -> None:
    ended(run_ranks("collectives", world_size, {}, tmp_path), 0)
    tenths = sum([0.1 * (rank + 1) for rank in range(world_size)])
    sums = [tenths.hex(), sum([1e16] + [1.0] * (world_size - 1)).hex()]
    expected = {
        "sums": sums,
        "agreed": "corrupt for rank 1",
        "any": [True, False, True],
        "any_of": [True, False, True],
        "max": [(world_size - 1) * 2**40, -1],
        "sum": sums,
        "broadcast": [{"from": 0}, "x"],
        "gather": [["rank", rank, "y" * rank] for rank in range(world_size)],
        "on_rank_0": 0,
        "refused": "refused by rank 0",
        "still": float(world_size),
    }
    for rank in range(world_size):
        assert found(tmp_path, "found", rank) == expected


def test_each_unit_is_done_once_and_every_rank_has_work(tmp_path: Path) -> None:
    """Rank 0, which holds the counter, is done long before the others."""
    rounds = {"many": 40, "few": 2, "none": 0, "one each": 3}
    ended(run_ranks("share_units", 3, {"rounds": rounds}, tmp_path), 0)
    units = [found(tmp_path, "units", rank) for rank in range(3)]
    for name, num_units in rounds.items():
        shares = [own[name] for own in units if isinstance(own, dict)]
        assert sorted(unit for share in shares for unit in share) == list(range(num_units))
        assert sum(1 for share in shares if share) == min(3, num_units)


@pytest.mark.parametrize("failing_rank", [0, 1])
def test_one_rank_fails_in_a_save_and_all_end_together(tmp_path: Path, failing_rank: int) -> None:
    root = tmp_path / "checkpoints"
    ranks = run_ranks("failing_saves", 2, {"root": str(root), "failing_rank": failing_rank}, tmp_path)
    ended(ranks, 3)
    raised = [found(tmp_path, "raised", rank) for rank in range(2)]
    assert raised[0] == raised[1]
    assert isinstance(raised[0], dict)
    assert {name: kind for name, (kind, _) in raised[0].items()} == {
        "os": "CorruptError",
        "runtime": "CorruptError",
        "input": "InputError",
        "unpicklable": "CorruptError",
    }
    assert f"rank {failing_rank}: OSError: [Errno 28] No space left" in raised[0]["os"][1]
    assert ranks[0].outcome["message"] == ranks[1].outcome["message"]
    assert [path.name for path in root.iterdir()] == ["step_0000000001"]


@pytest.mark.parametrize("error", ["input", "corrupt", "value"])
def test_an_error_of_all_ranks_has_one_exit_code(tmp_path: Path, error: str) -> None:
    ended(run_ranks("fail", 2, {"error": error}, tmp_path), {"input": 2, "corrupt": 3, "value": 1}[error])
