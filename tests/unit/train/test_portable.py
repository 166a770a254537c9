"""The state of training as named pieces: written in one layout, read in another, always the same numbers."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hpc.errors import CorruptError
from snw_dist.train.portable import (
    KINDS,
    Piece,
    read_into,
    restore_random_state,
    share,
    snapshot,
    write_snapshot,
)

SHAPES = {"conv.weight": (4, 3, 5), "scalar": (), "a.bias": (7,), "empty": (0,), "z.weight": (11, 2)}
Layout = list[tuple[torch.optim.Optimizer, list[Piece]]]


def number(name: str, kind: str, position: int) -> float:
    """What stands where, whoever holds it."""
    return 1000.0 * list(SHAPES).index(name) + 300.0 * KINDS.index(kind) + position


def elements(name: str) -> int:
    return torch.zeros(SHAPES[name]).numel()


def layout(chance: random.Random, num_ranks: int, fill: bool) -> Layout:
    """As ZeRO does, and worse: every parameter cut at random, the parts in flat tensors with padding between them."""
    ranks: Layout = []
    cuts = {name: sorted(chance.choices(range(elements(name) + 1), k=num_ranks - 1)) for name in SHAPES}
    for rank in range(num_ranks):
        order, position, parts = chance.sample(list(SHAPES), len(SHAPES)), 0, []
        for name in order:
            bounds = [0, *cuts[name], elements(name)]
            position += chance.randrange(3)
            parts.append((name, bounds[rank], bounds[rank + 1] - bounds[rank], position))
            position += parts[-1][2]
        owner = torch.full((position + 2,), -1.0, requires_grad=True)
        adam = torch.optim.AdamW([owner])
        if fill:
            adam.state[owner] = {"step": torch.tensor(9.0), **{k: torch.full_like(owner, -1.0) for k in KINDS[1:]}}
            for name, start, count, offset in parts:
                for kind in KINDS:
                    flat = owner.detach() if kind == "master" else adam.state[owner][kind]
                    values = [number(name, kind, start + i) for i in range(count)]
                    flat[offset : offset + count] = torch.tensor(values)
        ranks.append(
            (adam, [Piece(name, start, count, owner, offset) for name, start, count, offset in parts if count])
        )
    return ranks


@pytest.mark.parametrize("seed", range(20))
def test_any_layout_is_read_into_any_other(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    before, after = (layout(chance, chance.randint(1, 5), fill) for fill in (True, False))
    for rank, (adam, pieces) in enumerate(before):
        assert write_snapshot(tmp_path, rank, snapshot(pieces, adam)) == [f"state_{rank:05d}.safetensors"]
    for adam, pieces in after:
        read_into(tmp_path, len(before), pieces, adam, 9)
        for piece in pieces:
            state = adam.state[piece.owner]
            assert float(state["step"]) == 9
            for kind in KINDS:
                found = piece.view(piece.owner if kind == "master" else state[kind]).tolist()
                assert found == [number(piece.name, kind, piece.start + i) for i in range(piece.count)]
            assert set(state["exp_avg"].tolist()) >= {0.0}, "padding begins as zero"


@pytest.mark.parametrize("world_size", range(1, 6))
def test_shares_are_even_and_together_everything(world_size: int) -> None:
    [(_, pieces)] = layout(random.Random(3), 1, fill=False)
    shares = [share(pieces, rank, world_size) for rank in range(world_size)]
    sizes = [sum(piece.count for piece in own) for own in shares]
    assert max(sizes) - min(sizes) <= 1
    found = [(p.name, p.start + i, p.offset + i) for own in shares for p in own for i in range(p.count)]
    assert found == [(p.name, p.start + i, p.offset + i) for p in pieces for i in range(p.count)]


def test_a_snapshot_does_not_follow_training(tmp_path: Path) -> None:
    [(adam, pieces)] = layout(random.Random(1), 1, fill=True)
    state = snapshot(pieces, adam)
    kept = {name: tensor.clone() for name, tensor in state.tensors.items()}
    pieces[0].owner.detach().zero_()
    torch.rand(5)
    assert all(torch.equal(kept[name], tensor) for name, tensor in state.tensors.items())


def test_before_the_first_step_there_are_no_moments(tmp_path: Path) -> None:
    [(adam, pieces)] = layout(random.Random(1), 1, fill=False)
    state = snapshot(pieces, adam)
    assert not state.tensors["exp_avg"].any()
    assert state.tensors["exp_avg"].shape == state.tensors["master"].shape
    assert snapshot([], adam).tensors["master"].shape == (0,)


def test_elements_that_no_file_has_are_missed(tmp_path: Path) -> None:
    [(adam, pieces)] = layout(random.Random(1), 1, fill=True)
    cut = [dataclasses.replace(piece, count=piece.count - (piece.name == "a.bias")) for piece in pieces]
    write_snapshot(tmp_path, 0, snapshot(cut, adam))
    with pytest.raises(CorruptError, match="1 elements of the network are in none of its 1 files"):
        read_into(tmp_path, 1, pieces, adam, 9)


@pytest.mark.parametrize("damage", ["pickle", "other", "missing", "short"])
def test_what_is_no_state_of_training(tmp_path: Path, damage: str) -> None:
    [(adam, pieces)] = layout(random.Random(1), 1, fill=True)
    [name] = write_snapshot(tmp_path, 0, snapshot(pieces, adam))
    file = tmp_path / name
    if damage == "pickle":
        torch.save({"master": torch.zeros(3)}, file)
    elif damage == "other":
        save_file({"master": torch.zeros(3)}, file)
    elif damage == "missing":
        file.unlink()
    else:
        save_file({kind: torch.zeros(3) for kind in KINDS}, file, {"pieces": '[["a.bias", 0]]'})
    with pytest.raises(CorruptError, match="not a state of training"):
        read_into(tmp_path, 1, pieces, adam, 9)


def test_random_numbers_go_on_or_begin_by_seed_step_and_rank(tmp_path: Path) -> None:
    torch.manual_seed(5)
    for rank in range(2):
        torch.rand(3 + rank)
        write_snapshot(tmp_path, rank, snapshot([], torch.optim.AdamW([torch.zeros(1, requires_grad=True)])))
    following = torch.rand(4)
    restore_random_state(tmp_path, 2, 1, 2, seed=1, step=7)
    assert torch.equal(torch.rand(4), following)
    begun = {}
    for seed, step, rank in [(1, 7, 0), (1, 7, 1), (1, 8, 0), (2, 7, 0), (1, 7, 2)]:
        torch.rand(1)
        restore_random_state(tmp_path, 2, rank, 3, seed, step)
        begun[seed, step, rank] = tuple(torch.rand(4).tolist())
    assert len(set(begun.values())) == 5
    restore_random_state(tmp_path, 2, 0, 3, 1, 7)
    assert tuple(torch.rand(4).tolist()) == begun[1, 7, 0]
