"""The pieces of a rank where DeepSpeed's optimiser holds them; that DeepSpeed does so is tested with real ranks."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from snw_dist.train.flat import Part
from snw_dist.train.partition import Partition
from snw_dist.train.portable import Piece


def parameter(*shape: int, **attributes: Any) -> nn.Parameter:
    made = nn.Parameter(torch.zeros(shape))
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


def weights_of(named: dict[str, nn.Parameter]) -> dict[str, list[Part]]:
    """Each parameter is one weight."""
    return {name: [Part(name, item.shape, 0)] for name, item in named.items()}


def test_stage_0_holds_all_and_has_masters_in_16_bits_only() -> None:
    named = {"a": parameter(2, 3), "b": parameter(4), "frozen": parameter(1).requires_grad_(False)}
    masters, parts = [torch.ones(2, 3), torch.ones(4)], weights_of(named)
    wrapped = SimpleNamespace(fp16_groups=[[named["a"], named["b"]]], fp32_groups=[masters])
    half = Partition(wrapped, named, parts, 0, "bf16", 0)
    assert [(piece.name, piece.start, piece.count) for piece in half.pieces()] == [("a", 0, 6), ("b", 0, 4)]
    assert [piece.owner is master for piece, master in zip(half.pieces(), masters, strict=True)] == [True, True]
    assert half.shapes() == {"a": [2, 3], "b": [4]}
    full = Partition(None, named, parts, 0, "fp32", 0)
    assert full.masters_of_stage_0() == {}
    assert [piece.owner for piece in full.pieces()] == [named["a"], named["b"]]
    half.masters_to_weights()
    assert named["a"].min() == 1
    assert named["b"].min() == 1


def test_stages_1_and_2_hold_the_part_of_a_group_that_deepspeed_maps() -> None:
    place = SimpleNamespace(
        lp_fragment_address=SimpleNamespace(start=2, numel=4),
        hp_fragment_address=SimpleNamespace(start=7),
        param_group_index=1,
    )
    named = {"here": parameter(2, 3, _hp_mapping=place), "elsewhere": parameter(4, _hp_mapping=None)}
    parts = weights_of(named)
    wrapped = SimpleNamespace(single_partition_of_fp32_groups=[torch.zeros(1), torch.zeros(11)])
    for stage in (1, 2):
        assert Partition(wrapped, named, parts, stage, "fp32", 1).pieces() == [
            Piece("here", 2, 4, wrapped.single_partition_of_fp32_groups[1], 7)
        ]


def test_stage_3_cuts_each_parameter_over_the_ranks_and_leaves_out_the_padding() -> None:
    named, parts = {"a": parameter(0, ds_numel=7)}, {"a": [Part("a", torch.Size([7]), 0)]}  # nothing is left of it here
    wrapped = SimpleNamespace(
        grad_position={id(named["a"]): (0, 5, 3)}, get_param_id=id, fp32_partitioned_groups_flat=[torch.zeros(8)]
    )
    ranks = [Partition(wrapped, named, parts, 3, "fp32", rank) for rank in range(4)]
    found = [[(piece.start, piece.count, piece.offset) for piece in rank.pieces()] for rank in ranks]
    assert found == [[(0, 3, 5)], [(3, 3, 5)], [(6, 1, 5)], []]
    assert ranks[0].shapes() == {"a": [7]}
