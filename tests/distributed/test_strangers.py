"""What another user of the node can do to a job that starts and runs: attacks for real, by a process of another uid."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tests.kit.ranks import run_ranks, start_ranks
from tests.kit.strangers import IS_ROOT, NOBODY, start_stranger

pytestmark = pytest.mark.distributed
RENDEZVOUS = "rendezvous-job-0.json"

# Comes again and again, and says different things or nothing.
SIT = """
connections = []
for number in range(int(sys.argv[2])):
    said = (b"", b"\\x80\\x05cos\\nsystem\\n", b"rank 1 on here\\n", bytes(100))[number % 4]
    connections.append(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5))
    connections[-1].sendall(said)
print("ready", flush=True)
time.sleep(120)
"""


def test_strangers_at_the_door_change_and_delay_nothing(tmp_path: Path) -> None:
    """The attack that was seen: silent connections kept rank 0 for a minute, against a deadline of ten seconds."""
    with start_ranks("collectives", 3, {}, tmp_path, present=[0], startup_deadline_s=60.0) as ranks:
        ranks.wait_for_files(RENDEZVOUS)
        [[_, port]] = json.loads((tmp_path / "job" / RENDEZVOUS).read_text())["endpoints"]
        stranger = start_stranger(SIT, port, 40)
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "ready\n"
        started = time.monotonic()
        ranks.start(1)
        ranks.start(2)
        done = ranks.finish(60)
        took = time.monotonic() - started
        stranger.kill()
        stranger.communicate(timeout=30)
    assert [rank.returncode for rank in done] == [0, 0, 0], ranks.logs()
    assert took < 50, "nobody was kept waiting"
    assert json.loads((tmp_path / "job" / "found-rank2.json").read_text())["still"] == 3.0
    who = f", uid {NOBODY}" if IS_ROOT else ", uid "
    assert re.search(rf"refused a connection from 127\.0\.0\.1 port \d+{who}", done[0].log), done[0].log


def test_the_secret_is_nowhere_to_be_seen(tmp_path: Path) -> None:
    with start_ranks("idle", 2, {}, tmp_path) as ranks:
        ranks.wait_for_files("running-rank0.json", "running-rank1.json")
        secret = json.loads((tmp_path / "job" / RENDEZVOUS).read_text())["secret"]
        for process in ranks.processes.values():
            for name in ("environ", "cmdline"):
                shown = Path(f"/proc/{process.pid}/{name}").read_bytes()
                assert secret.encode() not in shown
                assert bytes.fromhex(secret) not in shown
        for table in ("tcp", "tcp6"):  # what the ranks listen on, gloo included, is on the loopback interface
            inodes = {inode for process in ranks.processes.values() for inode in sockets(process.pid)}
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    assert fields[1].startswith("0100007F:"), line


def sockets(pid: int) -> list[str]:
    found = []
    for file in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(file.readlink())
        except OSError:
            continue
        found += re.findall(r"socket:\[(\d+)\]", target)
    return found


@pytest.mark.parametrize("error", ["value", "disk", "not plain"])
def test_whatever_fails_on_rank_0_ends_all_at_once(tmp_path: Path, error: str) -> None:
    """They waited for gloo, which gave up after minutes or said that a peer had closed its connection."""
    started = time.monotonic()
    done = run_ranks("fail_on_rank_0", 3, {"error": error}, tmp_path, timeout_s=120)
    assert time.monotonic() - started < 90
    assert all(rank.returncode not in (0, 75) for rank in done), "\n".join(rank.log for rank in done)
    for rank in done[1:]:
        assert "rank 0 has failed (" in rank.outcome["message"]
        assert "Connection closed by peer" not in rank.outcome["message"]


def test_what_does_not_bear_the_seal_is_not_used(tmp_path: Path) -> None:
    """As if somebody had got into gloo's own connections, which ask nobody who he is."""
    done = run_ranks("forge", 2, {}, tmp_path, timeout_s=60)
    assert done[0].returncode == 4, "\n".join(rank.log for rank in done)
    assert "does not bear the seal of this job" in done[0].outcome["message"]
