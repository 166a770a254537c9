import threading
import time
from itertools import pairwise

import pytest
from torch._C._distributed_c10d import HashStore

from hpc.ranks.communicator import Communicator
from hpc.ranks.work_queue import StoreCounter, claim_units, guided_blocks, shared_counter


def share(world_size: int, num_units: int, delays_s: list[float]) -> list[list[int]]:
    store = HashStore()
    units: list[list[int]] = [[] for _ in range(world_size)]

    def work(rank: int) -> None:
        comm = Communicator(rank, world_size, store, None)
        for unit in claim_units(comm, StoreCounter(comm, "round"), num_units):
            units[rank].append(unit)
            time.sleep(delays_s[rank])

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(world_size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return units


@pytest.mark.parametrize(("world_size", "num_units"), [(1, 0), (1, 5), (3, 0), (3, 2), (3, 3), (4, 50), (7, 8)])
def test_each_unit_goes_to_one_rank_and_no_rank_is_left_out(world_size: int, num_units: int) -> None:
    units = share(world_size, num_units, [0.0] * world_size)
    assert sorted(unit for own in units for unit in own) == list(range(num_units))
    assert sum(bool(own) for own in units) == min(world_size, num_units)


def test_a_slow_rank_does_not_hold_up_the_others() -> None:
    units = share(3, 60, [0.3, 0.001, 0.001])
    assert len(units[0]) <= 7  # its first block of six, and at most one more
    assert sum(len(own) for own in units) == 60


def test_rounds_are_independent_and_units_are_claimed_one_by_one() -> None:
    comm = Communicator.alone()
    with shared_counter(comm, "first", mpi=False) as one, shared_counter(comm, "second", mpi=False) as two:
        first, second = claim_units(comm, one, 3), claim_units(comm, two, 2)
        assert [next(first), next(second), next(first), next(second), next(first)] == [0, 0, 1, 1, 2]
        assert list(first) == list(second) == []


@pytest.mark.parametrize(("num_units", "world_size"), [(0, 3), (1, 1), (10, 4), (1000, 1), (1000, 7), (100_000, 4096)])
def test_blocks_become_smaller_and_hold_everything_once(num_units: int, world_size: int) -> None:
    blocks = guided_blocks(num_units, world_size)
    assert [unit for block in blocks for unit in block] == list(range(num_units))
    sizes = [len(block) for block in blocks]
    assert all(a >= b for a, b in pairwise(sizes))
    assert not sizes or sizes[0] <= max(1, num_units // (3 * world_size))
    assert sizes[-world_size:] == [1] * min(world_size, len(sizes)) or num_units == 0
    assert len(blocks) < 3 * world_size * 20
