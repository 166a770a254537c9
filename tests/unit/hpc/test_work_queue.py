import threading
import time

import pytest
from torch._C._distributed_c10d import HashStore

from hpc.communicator import Communicator
from hpc.work_queue import claim_units


def share(world_size: int, num_units: int, delays_s: list[float]) -> list[list[int]]:
    store = HashStore()
    units: list[list[int]] = [[] for _ in range(world_size)]

    def work(rank: int) -> None:
        for unit in claim_units(Communicator(rank, world_size, store, None), "round", num_units):
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
    assert [own[0] for own in units if own] == list(range(min(world_size, num_units)))


def test_a_slow_rank_does_not_hold_up_the_others() -> None:
    units = share(3, 60, [0.3, 0.001, 0.001])
    assert len(units[0]) < 5
    assert sum(len(own) for own in units) == 60


def test_rounds_are_independent_and_units_are_claimed_one_by_one() -> None:
    comm = Communicator.alone()
    first, second = claim_units(comm, "first", 3), claim_units(comm, "second", 2)
    assert [next(first), next(second), next(first), next(second), next(first)] == [0, 0, 1, 1, 2]
    assert list(first) == list(second) == []
