import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kit.ranks import Finished, Ranks, run_ranks, start_ranks

pytestmark = pytest.mark.distributed
RUNNING = ("running-rank0.json", "running-rank1.json")


def stopped(folder: Path, ranks: list[Finished]) -> list[dict[str, Any]]:
    """All ended with 75, at the same step."""
    assert [rank.returncode for rank in ranks] == [75] * len(ranks), "\n".join(rank.log for rank in ranks)
    found = [json.loads((folder / "job" / f"stopped-rank{rank.rank}.json").read_text()) for rank in ranks]
    assert len({record["step"] for record in found}) == 1
    return found


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
@pytest.mark.parametrize("signalled", [0, 1])
def test_a_signal_to_one_rank_stops_all_at_one_step(tmp_path: Path, number: signal.Signals, signalled: int) -> None:
    with start_ranks("steps", 2, {}, tmp_path) as ranks:
        ranks.wait_for_files(*RUNNING)
        ranks.send(number, signalled)
        found = stopped(tmp_path, ranks.finish())
    assert [record["signals"] for record in found] == [int(rank == signalled) for rank in range(2)]


def test_three_ranks_signalled_one_after_another(tmp_path: Path) -> None:
    with start_ranks("steps", 3, {"linger_s": 0.5}, tmp_path) as ranks:
        ranks.wait_for_files(*RUNNING, "running-rank2.json")
        for rank in (2, 0, 1):
            ranks.send(signal.SIGUSR2, rank)
            time.sleep(0.02)
        found = stopped(tmp_path, ranks.finish())
    assert [record["signals"] for record in found] == [1, 1, 1]


def test_the_time_limit_of_one_rank_stops_all_without_a_signal(tmp_path: Path) -> None:
    """Clocks and starts differ between nodes; here rank 1 alone has a limit."""
    found = stopped(tmp_path, run_ranks("steps", 2, {"time_left_s": {"1": 0.5}}, tmp_path))
    assert [record["signals"] for record in found] == [0, 0]
    assert found[0]["step"] > 5


def test_a_storm_of_signals_changes_nothing(tmp_path: Path) -> None:
    with start_ranks("steps", 2, {"linger_s": 2.0}, tmp_path) as ranks:
        ranks.wait_for_files(*RUNNING)
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            for number in (signal.SIGUSR2, signal.SIGTERM):
                ranks.send(number)
        found = stopped(tmp_path, ranks.finish())
    assert min(record["signals"] for record in found) > 20


def blocked_in_a_collective(ranks: Ranks, rank: int) -> bool:
    """No processor time is used any more: the rank waits for its peer."""

    def used() -> int:
        fields = Path(f"/proc/{ranks.processes[rank].pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = used()
    time.sleep(0.3)
    return used() == before


@pytest.mark.parametrize("order", ["signal, then hang", "hang, then signal"])
def test_watchdog_ends_a_rank_whose_peer_hangs(tmp_path: Path, order: str) -> None:
    """In the second order Python's own handler never runs, because its thread is inside the collective."""
    with start_ranks("steps", 2, {"watchdog_s": 1.0}, tmp_path) as ranks:
        ranks.wait_for_files(*RUNNING)
        ranks.send(signal.SIGSTOP, 1)
        if order == "hang, then signal":
            ranks.wait_for(lambda: blocked_in_a_collective(ranks, 0))
        started = time.monotonic()
        ranks.send(signal.SIGUSR2, 0)
        code = ranks.processes[0].wait(20)
        assert time.monotonic() - started < 10
        assert code == 75, ranks.logs()
        assert "asked to stop, but no step boundary within 1 s" in ranks.logs()
        os.kill(ranks.processes[1].pid, signal.SIGCONT)
        other = ranks.finish(60)[1]
    assert other.returncode not in (0, -signal.SIGKILL), other.log


@pytest.mark.parametrize("slow_rank", [0, 1])
def test_a_save_that_moves_is_waited_for_and_one_that_does_not_is_ended(tmp_path: Path, slow_rank: int) -> None:
    """Asked to stop, one rank's disk takes three times what the watchdog allows; then it stands still."""
    slow = {"slow_rank": slow_rank, "watchdog_s": 1.0}
    done = run_ranks("tests.kit.damage_points:slow_save", 2, {**slow, "pieces": 12, "piece_s": 0.25}, tmp_path / "slow")
    assert [rank.returncode for rank in done] == [0, 0], done[0].log
    assert (tmp_path / "slow" / "job" / "checkpoints" / "step_0000000001" / "manifest.json").exists()
    took = [json.loads((tmp_path / "slow" / "job" / f"saved-rank{rank}.json").read_text()) for rank in range(2)]
    assert min(took) > 2.5, "both ranks waited"
    done = run_ranks("tests.kit.damage_points:slow_save", 2, {**slow, "pieces": 2, "piece_s": 30}, tmp_path / "dead")
    assert [rank.returncode for rank in done] == [75, 75], done[0].log
    assert all("no step boundary within 1 s" in rank.log for rank in done)
    assert not list((tmp_path / "dead" / "job" / "checkpoints").glob("step_*"))
