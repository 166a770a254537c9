"""The lists are those of computing all scores and sorting them, whatever the vectors, blocks and threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from snw_dist.screen.product import best as module
from snw_dist.screen.product import tile
from snw_dist.screen.product.best import best_of
from snw_dist.screen.product.merge import Best, merged
from tests.kit.vectors import directly, same, unit_vectors

FLOAT, BFLOAT, HALF = torch.float32, torch.bfloat16, torch.float16


@pytest.fixture(params=[FLOAT, BFLOAT], ids=str)
def coarse(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> torch.dtype:
    """The type of the fast product, which the trial would choose."""
    monkeypatch.setattr(module, "fastest", lambda size, device: request.param)
    monkeypatch.setattr(module, "MANY", 1)
    return request.param


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPAN", 1024)
    monkeypatch.setattr(module, "BLOCK", {"cpu": (256, 16)})
    monkeypatch.setattr(tile, "UNSETTLED", 500)
    monkeypatch.setattr(tile, "PIECE", 64)


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize(
    ("n", "m", "size", "k", "dtype"),
    [
        (6000, 40, 64, 20, FLOAT),
        (6000, 40, 64, 20, HALF),
        (3001, 5, 256, 7, FLOAT),
        (3001, 3, 33, 1, FLOAT),
        (700, 3, 16, 699, FLOAT),
        (40, 3, 64, 100, FLOAT),
        (1, 1, 1, 1, FLOAT),
    ],
)
@pytest.mark.parametrize("margin", [0.3, 1.1])
def test_as_computing_all_and_sorting(n: int, m: int, size: int, k: int, dtype: torch.dtype, margin: float) -> None:
    left, right = unit_vectors(n, size, 1, dtype), unit_vectors(m, size, 2, dtype)
    assert same(best_of(left, right, k, margin), directly(left, right, k, margin))


@pytest.mark.usefixtures("coarse", "small_blocks")
@pytest.mark.parametrize("distinct", [1, 3, 500])
def test_many_equal_scores_at_the_last_place(distinct: int) -> None:
    left = unit_vectors(distinct, 8, 1)[torch.arange(5000) * 7919 % distinct]
    right = unit_vectors(20, 8, 2)
    assert same(best_of(left, right, 30, 1.0), directly(left, right, 30, 1.0))


@pytest.mark.usefixtures("coarse", "small_blocks")
@pytest.mark.parametrize("order", ["rising", "falling", "near", "opposite"])
def test_whatever_the_order_and_the_place_of_the_vectors(order: str) -> None:
    left, right = unit_vectors(4000, 32, 1), unit_vectors(20, 32, 2)
    if order == "near":  # closer to each other than the coarse product can tell
        left = torch.nn.functional.normalize(right[:1] + 1e-3 * left, dim=-1)
    elif order == "opposite":  # no product is above 0
        left = torch.nn.functional.normalize(right[:1] * -3 + left, dim=-1)
        right = torch.nn.functional.normalize(right[:1] * 3 + right, dim=-1)
    else:
        left = left[(left @ right[0]).argsort(descending=order == "falling")]
    assert same(best_of(left, right, 50, 0.9), directly(left, right, 50, 0.9))


@pytest.mark.usefixtures("coarse")
@pytest.mark.parametrize("n", [20000, 20001])
def test_few_pairs_pass_the_product(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the last group of partners is not full, too."""
    passed = 0
    scores = tile.Tile._scores

    def watched(self: tile.Tile, partners: object, which: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        nonlocal passed
        passed += len(row)
        return scores(self, partners, which, row)  # type: ignore[arg-type]

    monkeypatch.setattr(tile.Tile, "_scores", watched)
    best_of(unit_vectors(n, 64, 1), unit_vectors(20, 64, 2), 10, 1.1)
    assert passed < 20 * 10 * 15  # ten times the list is what an eighth of the library leaves


@pytest.mark.usefixtures("small_blocks")
def test_a_coarse_product_that_tells_too_little_gives_way_to_a_finer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fastest", lambda size, device: BFLOAT)
    monkeypatch.setattr(module, "MANY", 1)
    multiplied = []
    made = tile.products

    def watched(left: torch.Tensor, right: torch.Tensor, scratch: torch.Tensor) -> torch.Tensor:
        multiplied.append(left.dtype)
        return made(left, right, scratch)

    monkeypatch.setattr(tile, "products", watched)
    right = unit_vectors(16, 32, 2)
    left = torch.nn.functional.normalize(right[:1] + 1e-2 * unit_vectors(5000, 32, 1), dim=-1)
    assert same(best_of(left, right, 20, 0.9), directly(left, right, 20, 0.9))
    assert multiplied[0] == BFLOAT
    assert multiplied[-1] == FLOAT
    multiplied.clear()
    best_of(unit_vectors(5000, 32, 1), right, 1, 0.9)
    assert set(multiplied) == {BFLOAT}


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_same_bits_for_any_blocks_threads_and_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    left, right = unit_vectors(5000, 64, 3), unit_vectors(50, 64, 4)
    whole = directly(left, right, 25, 1.1)
    for count, span, block in (
        (1, 640, (64, 7)),
        (2, 1024, (1024, 50)),
        (3, 2048, (96, 16)),
        (4, 1 << 16, (4096, 256)),
    ):
        torch.set_num_threads(count)
        monkeypatch.setattr(module, "SPAN", span)
        monkeypatch.setattr(module, "BLOCK", {"cpu": block})
        assert same(best_of(left, right, 25, 1.1), whole), (count, span, block)
        parts = [best_of(left[a : a + 1111], right, 25, 1.1).shifted(a) for a in range(0, 5000, 1111)]
        assert same(merged(parts[::-1], 25), whole), (count, span, block)


@pytest.mark.usefixtures("threads", "coarse", "small_blocks")
def test_few_rows_give_work_to_all_threads() -> None:
    """The partners are cut then, and the lists merged."""
    torch.set_num_threads(4)
    left, right = unit_vectors(5000, 64, 3), unit_vectors(2, 64, 4)
    assert same(best_of(left, right, 1500, 1.1), directly(left, right, 1500, 1.1))


def test_the_best_receptors_of_each_ligand() -> None:
    left, right = unit_vectors(300, 64, 5), unit_vectors(70, 64, 6)
    assert same(best_of(left, right, 9, 1.1, by="left"), directly(right, left, 9, 1.1))


def test_the_score_decides_not_the_distance() -> None:
    """Where a large margin makes two distances one score, the lower number comes first."""
    left, right = unit_vectors(20000, 4, 7), unit_vectors(3, 4, 8)
    found = best_of(left, right, 50, 1e4)
    assert same(found, directly(left, right, 50, 1e4))
    by_distance = torch.cdist(right.double(), left.double()).argsort(dim=1)[:, :50]
    assert not torch.equal(found.index, by_distance)


def test_memory_of_one_block_whatever_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs that wait never are many more than those of a block and those of the lists."""
    most = 0
    settle = tile.Tile._settle

    def watched(self: tile.Tile, *arguments: object) -> int:
        nonlocal most
        done = settle(self, *arguments)  # type: ignore[arg-type]
        most = max(most, sum(len(row) for row, _, _ in self._waiting))
        return done

    monkeypatch.setattr(tile.Tile, "_settle", watched)
    monkeypatch.setattr(tile, "UNSETTLED", 1000)
    monkeypatch.setattr(module, "BLOCK", {"cpu": (256, 16)})
    left = unit_vectors(1, 8, 1).expand(20000, 8)
    best_of(left, unit_vectors(16, 8, 2), 10, 1.0)
    assert most <= 16 * 10


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1.5, 1e30])
def test_what_is_no_unit_vector_is_named(bad: float) -> None:
    left, right = unit_vectors(3000, 8, 1), unit_vectors(5, 8, 2)
    left[2345, 3] = bad
    with pytest.raises(ValueError, match=r"^vector 2345, counted from 0, is no unit vector: its length is "):
        best_of(left, right, 3, 1.0)
    with pytest.raises(ValueError, match="vector 2345, "):
        best_of(right, left, 3, 1.0)


@pytest.mark.parametrize(
    ("left", "right", "k", "margin"),
    [((5, 4), (5, 3), 1, 1.0), ((0, 4), (5, 4), 1, 1.0), ((5, 4), (5, 4), 0, 1.0), ((5, 4), (5, 4), 1, 0.0)],
)
def test_what_cannot_be_compared_is_refused(
    left: tuple[int, int], right: tuple[int, int], k: int, margin: float
) -> None:
    with pytest.raises(ValueError, match=r"^best_of: "):
        best_of(torch.zeros(left), torch.zeros(right), k, margin)


def test_lists_name_nothing_twice() -> None:
    found: Best = best_of(unit_vectors(5000, 64, 1), unit_vectors(10, 64, 2), 100, 1.1)
    assert found.score.dtype == torch.float32
    assert found.index.dtype == torch.int64
    assert all(len(set(row.tolist())) == 100 for row in found.index)
