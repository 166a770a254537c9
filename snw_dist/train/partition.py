"""Where DeepSpeed keeps this rank's part of the float32 masters, by ZeRO stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from snw_dist.config import Precision
from snw_dist.train.flat import Part, cut
from snw_dist.train.portable import Piece


class Partition:
    """One rank's part of the parameters that are trained; what is frozen is built again from the configuration."""

    def __init__(
        self,
        optimiser: Any,
        named: Mapping[str, nn.Parameter],
        parts: Mapping[str, Sequence[Part]],
        zero_stage: int,
        precision: Precision,
        rank: int,
    ) -> None:
        """`optimiser` is DeepSpeed's, or plain AdamW at stage 0 in fp32; `named` are all parameters of the network.

        `parts`: the weights that each of them is made of.
        """
        self._optimiser, self._stage, self._precision, self._rank = optimiser, zero_stage, precision, rank
        self._trained = {name: parameter for name, parameter in named.items() if parameter.requires_grad}
        self._parts = parts

    def shapes(self) -> dict[str, list[int]]:
        """By name, the whole shape of each weight that is trained."""
        return {part.name: list(part.shape) for name in self._trained for part in self._parts[name]}

    def pieces(self) -> list[Piece]:
        """What of each weight this rank holds, and where; at stage 0 every rank holds all."""
        return [piece for whole in self._of_parameters() for piece in _of_weights(whole, self._parts[whole.name])]

    def _of_parameters(self) -> list[Piece]:
        trained, optimiser = self._trained.items(), self._optimiser
        if self._stage == 3:
            return [piece for name, item in trained for piece in _piece_of_stage_3(name, item, optimiser, self._rank)]
        if self._stage > 0:
            return [piece for name, item in trained for piece in _piece_of_a_partition(name, item, optimiser)]
        masters = self.masters_of_stage_0()
        return [Piece(name, 0, item.numel(), masters.get(id(item), item), 0) for name, item in trained]

    def masters_of_stage_0(self) -> dict[int, torch.Tensor]:
        """Masters by the `id` of their weight, each [...] of its shape, where DeepSpeed's own look-up finds none.

        That is in 16 bits; elsewhere there are none to find.
        """
        if self._stage > 0 or self._precision == "fp32":
            return {}
        return {id(weight): master for weight, master in _pairs(self._optimiser)}

    @torch.no_grad()
    def masters_to_weights(self) -> None:
        """Collective: the weights that the forward pass uses follow the masters, as after an optimiser step."""
        optimiser = self._optimiser
        if self._stage == 3:
            optimiser._partition_all_parameters()
            for number in range(len(optimiser.fp32_partitioned_groups_flat)):
                optimiser._reassign_or_swap_out_partitioned_parameters(number)
            if optimiser.persistent_parameters:  # small ones stay gathered, and would keep their old values
                optimiser.persistent_parameters[0].all_gather(optimiser.persistent_parameters)
        elif self._stage > 0:
            optimiser.update_lp_params()
        elif self._precision != "fp32":
            for weight, master in _pairs(optimiser):
                weight.copy_(master)


def _of_weights(piece: Piece, parts: Sequence[Part]) -> Iterator[Piece]:
    for part, first, last in cut(parts, piece.start, piece.start + piece.count):
        start, offset = first - part.start, piece.offset + first - piece.start
        yield dataclasses.replace(piece, name=part.name, start=start, count=last - first, offset=offset)


def _piece_of_a_partition(name: str, parameter: nn.Parameter, optimiser: Any) -> Iterator[Piece]:
    """Stages 1 and 2: all parameters of a group lie one after another, and a rank has one part of them."""
    mapping = parameter._hp_mapping  # type: ignore[attr-defined]  # None where no element is this rank's
    if mapping is not None:
        here, there = mapping.lp_fragment_address, mapping.hp_fragment_address
        owner = optimiser.single_partition_of_fp32_groups[mapping.param_group_index]
        yield Piece(name, here.start, here.numel, owner, there.start)


def _piece_of_stage_3(name: str, parameter: Any, optimiser: Any, rank: int) -> Iterator[Piece]:
    """Stage 3: each parameter is cut into equal parts, one a rank, the last ones filled up with padding."""
    group, offset, length = optimiser.grad_position[optimiser.get_param_id(parameter)]
    start = rank * length
    count = min(length, parameter.ds_numel - start)
    if count > 0:
        yield Piece(name, start, count, optimiser.fp32_partitioned_groups_flat[group], offset)


def _pairs(optimiser: Any) -> Iterator[tuple[nn.Parameter, torch.Tensor]]:
    """Stage 0 in 16 bits: each weight and its master."""
    for weights, masters in zip(optimiser.fp16_groups, optimiser.fp32_groups, strict=True):
        yield from zip(weights, masters, strict=True)
