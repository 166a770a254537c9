"""How ranks meet, without torch's groups: who is told what when they do not, and who must not be there."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from hpc.errors import EnvironmentProblem
from hpc.ranks import addresses
from hpc.ranks.addresses import interface_address, own_addresses, stay_on_loopback
from hpc.ranks.rendezvous import meet
from hpc.ranks.topology import Topology
from tests.kit.strangers import IS_ROOT, place_for_both, run_stranger

FILE = "rendezvous-41-0.json"


def topology(rank: int, world_size: int, num_nodes: int = 1) -> Topology:
    return Topology(
        rank, world_size, rank, world_size, num_nodes=num_nodes, host=socket.gethostname(), launcher="slurm"
    )


def together(folder: Path, ranks: list[int], world_size: int, deadline_s: float = 10.0, num_nodes: int = 1) -> list:
    """What each of `ranks` gets: the names of its peers, or its error."""

    def join(rank: int) -> list[str] | EnvironmentProblem:
        try:
            with meet(topology(rank, world_size, num_nodes), folder / FILE, deadline_s) as meeting:
                meeting.store.add("here", 1)
                while int(meeting.store.get("here")) < world_size:  # rank 0's store ends with it
                    pass
                for channel in meeting.peers.values():
                    channel.send(b"bye")
                    channel.receive()
                return list(meeting.peers)
        except EnvironmentProblem as error:
            return error

    with ThreadPoolExecutor(len(ranks)) as pool:
        futures: list[Future] = [pool.submit(join, rank) for rank in ranks]
        return [future.result() for future in futures]


def test_all_meet(tmp_path: Path) -> None:
    host = socket.gethostname()
    found = together(tmp_path, [0, 1, 2], 3)
    assert sorted(found[0]) == [f"rank 1 on {host}", f"rank 2 on {host}"]
    assert found[1] == found[2] == [f"rank 0 on {host}"]
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [address for address, _ in json.loads((tmp_path / FILE).read_text())["endpoints"]] == ["127.0.0.1"]


def test_all_meet_when_there_are_several_nodes(tmp_path: Path) -> None:
    """On the one-machine Slurm every node is this host."""
    assert len(together(tmp_path, [0, 1], 2, num_nodes=2)[0]) == 1


def test_missing_ranks_are_named_to_all(tmp_path: Path) -> None:
    found = together(tmp_path, [0, 2], 4, deadline_s=1.0)
    for error in found:
        assert "only 2 of 4 ranks joined within 1 s; missing: [1, 3]" in str(error)


def test_two_with_the_same_number_do_not_both_join(tmp_path: Path) -> None:
    found = together(tmp_path, [0, 1, 1], 3, deadline_s=3.0)
    assert any("two processes have the same number" in str(error) for error in found[1:])
    assert all(isinstance(error, EnvironmentProblem) for error in found)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 1}', '{"host": "h", "endpoints": [], "secret": "x"}'])
def test_a_file_that_makes_no_sense_is_waited_out(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    [error] = together(tmp_path, [1], 2, deadline_s=0.5)
    assert "cannot reach rank 0" in str(error)


def test_a_secret_that_others_could_have_written_is_not_taken(tmp_path: Path) -> None:
    together(tmp_path, [0], 2, deadline_s=0.2)
    (tmp_path / FILE).chmod(0o666)
    [error] = together(tmp_path, [1], 2, deadline_s=0.5)
    assert f"chmod go-w {tmp_path / FILE}" in str(error)


def test_a_stranger_cannot_read_the_secret_nor_put_his_own_in_its_place() -> None:
    with place_for_both() as folder:
        together(folder, [0], 2, deadline_s=0.2)
        attack = """
        file = pathlib.Path(sys.argv[1])
        for attempt in (file.read_text, file.unlink, lambda: file.write_text("mine"), lambda: file.rename("/tmp/mine")):
            try: attempt(); print("done")
            except PermissionError: print("refused")
        """
        if IS_ROOT:
            assert run_stranger(attack, folder / FILE).split() == ["refused"] * 4


# ---------------------------------------------------------------------------- where it listens


def answers(monkeypatch: pytest.MonkeyPatch, *found: str) -> None:
    monkeypatch.setattr(addresses, "resolved", lambda host: list(found))


def test_one_host_is_the_loopback_interface_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "10.0.0.5")
    assert own_addresses("node0", 1, {}) == ["127.0.0.1"]
    assert own_addresses("node0", 1, {"GLOO_SOCKET_IFNAME": "eth7"}) == ["127.0.0.1"]


def test_several_hosts_are_what_the_name_stands_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers(monkeypatch, "10.0.0.5", "127.0.1.1", "fd00::5")
    assert own_addresses("node0", 2, {}) == ["127.0.0.1", "10.0.0.5", "fd00::5"]
    assert not caplog.messages
    answers(monkeypatch, "127.0.1.1")
    assert own_addresses("node0", 2, {}) == [""]
    assert "Set GLOO_SOCKET_IFNAME" in caplog.text


def test_a_named_interface_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    interfaces = {"ib0": "10.1.0.5", "eth0": "10.2.0.5"}
    monkeypatch.setattr(addresses, "interface_address", interfaces.get)
    answers(monkeypatch, "192.168.0.1")
    assert own_addresses("node0", 2, {"GLOO_SOCKET_IFNAME": "ib0,eth0"}) == ["127.0.0.1", "10.1.0.5", "10.2.0.5"]
    assert own_addresses("node0", 2, {"GLOO_SOCKET_IFNAME": "ib7"}) == ["127.0.0.1", "192.168.0.1"]


def test_gloo_and_nccl_stay_on_loopback_on_one_host() -> None:
    names: Callable[[str], str | None] = interface_address
    assert names("lo") == "127.0.0.1"
    assert names("nothing-of-this-name") is None
    environ = {"GLOO_SOCKET_IFNAME": "chosen"}
    stay_on_loopback(1, environ)
    assert environ == {"GLOO_SOCKET_IFNAME": "chosen", "NCCL_SOCKET_IFNAME": "lo"}
    environ = {}
    stay_on_loopback(2, environ)
    assert not environ
