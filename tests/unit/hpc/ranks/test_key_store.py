"""The shared keys, asked from rank 0 and over a channel."""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch._C._distributed_c10d import PrefixStore
from torch.distributed import DistStoreError

from hpc.ranks.channel import Channel, connect
from hpc.ranks.door import Door
from hpc.ranks.key_store import JobStore, Rank0Store, RemoteStore

SECRET = secrets.token_bytes(32)


@pytest.fixture
def stores() -> Iterator[list[JobStore]]:
    with contextlib.closing(Rank0Store()) as first:

        def admit(rank: int, host: str, purpose: str, channel: Channel) -> str:
            channel.send(b"")
            first.serve(channel)
            return ""

        with Door(["127.0.0.1"], SECRET, 4, admit) as door:
            claims = [json.dumps({"rank": rank, "host": "h", "purpose": "store"}).encode() for rank in (1, 2, 3)]
            others = [RemoteStore(connect(*door.endpoints[0], SECRET, claim, 5.0)) for claim in claims]
        yield [first, *others]
        for other in others:
            other.close()


def test_what_one_rank_sets_all_others_get(stores: list[JobStore]) -> None:
    for number, store in enumerate(stores):
        store.set(f"key {number}", b"\x00value\n\xff" * number)
        for other in stores:
            assert other.get(f"key {number}") == b"\x00value\n\xff" * number
            assert other.check([f"key {number}"])
            assert other.missing(["key 0", "never"]) == ["never"]
            assert other.num_keys() == number + 1
    stores[1].set("text", "ä")
    assert stores[2].get("text") == "ä".encode()
    assert stores[3].delete_key("text")
    assert not stores[0].delete_key("text")
    assert stores[1].compare_set("new", "", "first") == b"first"
    assert stores[2].compare_set("new", "other", "second") == b"first"
    assert stores[3].compare_set("new", "first", "third") == b"third"


def test_counting_together_skips_and_repeats_nothing(stores: list[JobStore]) -> None:
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda n: stores[n % 4].add("count", 1), range(400)))
    assert sorted(numbers) == list(range(1, 401))
    assert stores[2].get("count") == b"400"


def test_waiting(stores: list[JobStore]) -> None:
    threading.Timer(0.2, lambda: stores[3].set("late", b"here")).start()
    assert stores[1].get("late") == b"here"
    for store in stores[:2]:
        store.set_timeout(timedelta(seconds=0.1))
        with pytest.raises(DistStoreError, match="no rank has set 'never'"):
            store.get("never")
    assert stores[0].timeout == timedelta(seconds=0.1)


def test_torch_takes_it_for_one_of_its_own(stores: list[JobStore]) -> None:
    behind = [PrefixStore("torch", store) for store in stores]
    behind[0].set("key", b"value")
    behind[1].wait(["key"], timedelta(seconds=5))
    assert behind[2].get("key") == b"value"
    assert behind[3].add("number", 5) == 5
    assert stores[1].get("torch/key") == b"value"


def test_a_rank_that_has_gone_does_not_disturb_the_others(stores: list[JobStore]) -> None:
    gone = stores[1]
    assert isinstance(gone, RemoteStore)
    gone._channel.close()
    assert stores[2].add("count", 1) == 1
    with pytest.raises(DistStoreError, match="rank 0, which holds the shared keys, has gone"):
        gone.get("count")


def test_nonsense_from_a_rank_ends_its_connection_alone(stores: list[JobStore]) -> None:
    for number, nonsense in ((1, b"no json"), (2, b'["add"]\n')):
        broken = stores[number]
        assert isinstance(broken, RemoteStore)
        broken._channel.send(nonsense)
        end = time.monotonic() + 5
        while not broken._channel.is_gone() and time.monotonic() < end:
            time.sleep(0.01)
        assert broken._channel.is_gone()
    assert stores[3].add("count", 1) == 1
