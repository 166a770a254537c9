import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpc.ranks.channel import connect
from hpc.ranks.door import Door
from tests.kit.ranks import REPOSITORY, start_ranks

pytestmark = pytest.mark.distributed
RENDEZVOUS = "rendezvous-job-0.json"


def test_ranks_started_as_a_script_does(tmp_path: Path) -> None:
    """`python -m hpc.job.run REQUEST.json` for each rank, as in the last line of a hand-written batch script."""
    request = {"entry_point": "tests.kit.jobs:collectives", "config": {}, "job_folder": str(tmp_path)}
    (tmp_path / "request.json").write_text(json.dumps({**request, "time_min": 5, "device": "cpu"}))
    command = [sys.executable, "-W", "error", "-m", "hpc.job.run", str(tmp_path / "request.json")]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SUBMITIT_"))}
    step = {"SLURM_JOB_ID": "41", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0"}
    processes = []
    try:
        for rank in ("0", "1"):
            environ = kept | step | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}
            processes.append(subprocess.Popen(command, cwd=REPOSITORY, env=environ))
        assert [process.wait(90) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
            process.wait(20)
    assert (tmp_path / "rendezvous-41-0.json").exists()
    assert json.loads((tmp_path / "found-rank1.json").read_text())["still"] == 2.0


def test_a_missing_rank_is_named_by_all_others(tmp_path: Path) -> None:
    """Rank 0 gives up first, and the others do not take the end of its store for something else."""
    with start_ranks("nothing", 4, {}, tmp_path, present=[0], startup_deadline_s=3.0) as ranks:
        time.sleep(1.0)
        started = time.monotonic()
        ranks.start(1)
        ranks.start(3)
        done = ranks.finish(60)
    assert time.monotonic() - started < 30
    assert [rank.returncode for rank in done] == [4, 4, 4], ranks.logs()
    for rank in done:
        assert "only 3 of 4 ranks joined within 3 s; missing: [2]" in rank.outcome["message"]
    assert not list((tmp_path / "job").glob("started-*"))


@pytest.fixture(params=["dead", "mute", "another job"])
def stale_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """What may be at the address that a dead incarnation has left."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        if request.param == "mute":
            listener.listen()
            yield port
        elif request.param == "dead":
            yield port
        else:
            with Door(["127.0.0.1"], secrets.token_bytes(32), 2, lambda *claim: "") as door:
                yield door.endpoints[0][1]


def test_a_stale_address_is_not_joined(tmp_path: Path, stale_port: int) -> None:
    with start_ranks("collectives", 2, {}, tmp_path, present=[], startup_deadline_s=40.0) as ranks:
        endpoints = [["127.0.0.1", stale_port]]
        stale = {"host": socket.gethostname(), "endpoints": endpoints, "secret": secrets.token_hex(32)}
        (tmp_path / "job" / RENDEZVOUS).write_text(json.dumps(stale))
        ranks.start(1)
        time.sleep(0.7)
        ranks.start(0)
        done = ranks.finish(60)
    assert [rank.returncode for rank in done] == [0, 0], ranks.logs()


def test_an_unreadable_address_is_waited_out(tmp_path: Path) -> None:
    with start_ranks("nothing", 2, {}, tmp_path, present=[], startup_deadline_s=40.0) as ranks:
        (tmp_path / "job" / RENDEZVOUS).write_text("")
        ranks.start(1)
        time.sleep(0.3)
        ranks.start(0)
        done = ranks.finish(60)
    assert [rank.returncode for rank in done] == [0, 0], ranks.logs()


def test_a_rank_that_dies_after_joining_is_not_waited_for(tmp_path: Path) -> None:
    with start_ranks("nothing", 2, {}, tmp_path, present=[0], startup_deadline_s=4.0) as ranks:
        ranks.wait_for_files(RENDEZVOUS)
        published = json.loads((tmp_path / "job" / RENDEZVOUS).read_text())
        channels = []
        for purpose in ("store", "watch"):
            claim = json.dumps({"rank": 1, "host": "here", "purpose": purpose}).encode()
            channels.append(connect(*published["endpoints"][0], bytes.fromhex(published["secret"]), claim, 5.0))
        [done] = ranks.finish(30)
        for channel in channels:
            channel.close()
    assert done.returncode == 4, done.log
    assert "could not connect" in done.outcome["message"]


def test_two_ranks_with_the_same_number_do_not_run(tmp_path: Path) -> None:
    with start_ranks("nothing", 2, {}, tmp_path, startup_deadline_s=2.0) as ranks:
        first = ranks.processes[0]
        ranks.start(0)
        codes = [first.wait(30)] + [rank.returncode for rank in ranks.finish(60)]
    assert 4 in codes, ranks.logs()
