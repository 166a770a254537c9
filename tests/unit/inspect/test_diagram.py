"""What is drawn of a network is all of it, and what was there while it ran."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from snw_dist.inspect.diagram import Box
from snw_dist.inspect.trace import blocks
from tests.kit.model_tools import NAMES
from tests.kit.network_tools import WIDTH, seen_network

SIZES = [(name, size) for name in NAMES for size in ("light", "base")] + [("cross_attention", "large")]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_every_parameter_is_in_exactly_one_box(name: str, size: str) -> None:
    network, _, _, diagram = seen_network(name, size)
    drawn = [parameter for box in diagram.owned() for parameter in box.parameters.items()]
    assert sorted(drawn) == sorted((own, p.numel()) for own, p in network.named_parameters())
    assert diagram.num_parameters == sum(count for _, count in drawn)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shared_is_whole_on_both_sides(name: str) -> None:
    boxes = seen_network(name).diagram.boxes
    sides = [[box for box in boxes if box.phase == side and box.shared] for side in ("ligand", "receptor")]
    assert [(box.paths, box.parameters) for box in sides[0]] == [(box.paths, box.parameters) for box in sides[1]]
    assert bool(sides[0]) == (name in ("siamese", "changeformer"))
    of_sides = [box for box in boxes if box.phase != "pairs"]
    assert all(box.shared for box in of_sides) or not any(box.shared for box in of_sides)


def hooked_shapes(name: str) -> dict[str, list[tuple[int, ...]]]:
    """What left each block in a plain pass over the first batch, by hooks of this test: ligand before receptor."""
    network, (batch, _), _, _ = seen_network(name)
    found: dict[str, list[tuple[int, ...]]] = {}

    def hook(path: str) -> Any:
        def after(_: nn.Module, __: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            found.setdefault(path, []).append(tuple(first.shape))

        return after

    handles = [module.register_forward_hook(hook(path)) for path, module in blocks(network).items()]
    with torch.no_grad():
        network.eval()(*batch.sides(WIDTH))
    for handle in handles:
        handle.remove()
    return found


def numbers(box: Box, sizes: dict[str, int]) -> tuple[int, ...]:
    """The sizes of the first tensor that leaves a box, with the values of a batch for its symbols."""
    return tuple(int(size) if size.isdigit() else value_of(size, sizes) for size in box.shapes[0])


def value_of(symbol: str, sizes: dict[str, int]) -> int:
    match = re.fullmatch(r"([LN]_[a-z]+)(?:/(\d+))?", symbol)
    assert match
    return -(-sizes[match[1]] // int(match[2] or 1))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_those_of_hooks(name: str) -> None:
    _, (batch, _), _, diagram = seen_network(name)
    sizes = {"L_ligand": batch.ligand_length, "L_receptor": batch.receptor_length}
    sizes |= dict.fromkeys(("N_ligand", "N_receptor", "N_pair"), 1)
    hooked, compared = hooked_shapes(name), 0
    for box in diagram.boxes:
        for path in box.paths if box.words.title != "Keys and values" else ():  # no hook sees that as one thing
            both = hooked[path]
            assert numbers(box, sizes) == both[-1 if box.phase == "receptor" else 0], box.words
            compared += 1
    assert compared >= len(hooked)


@pytest.mark.parametrize("name", NAMES)
def test_symbols_say_what_belongs_to_the_batch(name: str) -> None:
    """Residues of a side belong to it, and a comparison has pairs."""
    for box in seen_network(name).diagram.boxes:
        named = {size.partition("/")[0] for shape in box.shapes for size in shape if not size.isdigit()}
        side = {"ligand", "receptor"} if box.phase == "pairs" else {box.phase}
        assert named <= {f"{'N_pair' if box.phase == 'pairs' else f'N_{box.phase}'}", *(f"L_{one}" for one in side)}
        assert any(size.startswith("N_") for size in named)


@pytest.mark.parametrize("name", NAMES)
def test_every_box_is_on_a_way_from_both_sides_to_the_score(name: str) -> None:
    diagram = seen_network(name).diagram
    reached: set[Any] = set()
    waiting = list(diagram.score[0])
    while waiting:
        number = waiting.pop()
        if number not in reached:
            reached.add(number)
            waiting += diagram.boxes[number].sources if isinstance(number, int) else []
    assert reached == {*range(len(diagram.boxes)), "ligand", "receptor"}


@pytest.mark.parametrize("name", NAMES)
def test_operations_are_all_there(name: str) -> None:
    diagram = seen_network(name).diagram
    assert diagram.flops == sum(box.flops for box in diagram.boxes)
    [first] = [box for box in diagram.boxes if "ligand" in box.sources]
    width = int(first.shapes[0][-1])
    assert first.flops == 2 * 16 * (WIDTH + 64) * width  # both products of the projection, at each of 16 residues


def test_blocks_that_are_alike_are_one_box() -> None:
    boxes = seen_network("cross_attention", "large").diagram.boxes
    assert {box.words.title: len(box.paths) for box in boxes if len(box.paths) > 1} == {
        "Convolution": 2, "Keys and values": 4, "Cross attention": 4
    }  # fmt: skip


def test_scales_are_not_taken_for_alike() -> None:
    titles = [box.words.title for box in seen_network("changeformer").diagram.boxes]
    assert titles.count("Difference") == 3
    assert titles.count("Attention pooling") == 6
