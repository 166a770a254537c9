import pytest

from hpc.errors import CorruptError, InputError
from hpc.ranks.communicator import Communicator


def test_alone_every_collective_is_the_identity() -> None:
    comm = Communicator.alone()
    assert (comm.rank, comm.world_size) == (0, 1)
    assert comm.any(True)
    assert not comm.any(False)
    assert comm.max(-5) == -5
    assert comm.sum(0.1) == 0.1
    assert comm.sums(0.1, -3.0) == [0.1, -3.0]
    comm.agree_on(None)
    with pytest.raises(CorruptError, match="mine"):
        comm.agree_on(CorruptError("mine"))
    assert comm.broadcast("a") == "a"
    assert comm.gather(None) == [None]
    assert comm.on_rank_0(lambda: 3) == 3
    comm.barrier()


@pytest.mark.parametrize("kind", [InputError, ValueError])
def test_alone_errors_pass(kind: type[Exception]) -> None:
    def refuse() -> None:
        raise kind("why")

    with pytest.raises(kind, match="why"):
        Communicator.alone().on_rank_0(refuse)


def test_the_store_counts() -> None:
    store = Communicator.alone().store
    assert [store.add("a", 1), store.add("a", 1), store.add("b", 1)] == [1, 2, 1]
