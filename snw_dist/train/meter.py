"""Which share of the machine's limit training reaches: operations that its pairs need, by those that it could do.

They are counted on the plan of a step alone, by the thread that reads ahead. Training itself is not looked at: how the
ranks share the weights (ZeRO), in which type they compute and how much they pad changes nothing in what is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from hpc.machine.matrix_rate import matrix_rate
from hpc.ranks.communicator import Communicator
from snw_dist.arrays import IntArray
from snw_dist.config import Precision
from snw_dist.embedding.esmc.tunable import TunableEsmc
from snw_dist.model.encoded import Encoded
from snw_dist.model.operations import Operations, operations_of
from snw_dist.train.engine_settings import DTYPES

_MOST_PRODUCTS = 4
_REPEATS = 10


class Meter:
    """The limit of all ranks together, and what their network needs."""

    def __init__(self, operations: Operations, limit: float) -> None:
        """`limit`: operations a second."""
        self._needed, self._limit = operations, limit

    @staticmethod
    def of(network: nn.Module, row_width: int, precision: Precision, device: torch.device, comm: Communicator) -> Meter:
        """Collective, with the network on the CPU; nothing of it changes, and no random number is drawn."""
        limits = comm.gather(matrix_rate(products_of(network), device, DTYPES[precision], _rows(device), _REPEATS))
        if isinstance(network, Encoded):
            assert isinstance(network.encoder, TunableEsmc)
            return Meter(operations_of(network.network, row_width, network.encoder.operations), sum(limits))
        return Meter(operations_of(network, row_width), sum(limits))

    def operations(self, lengths: IntArray, ligand: IntArray, receptor: IntArray, parts: Sequence[IntArray]) -> float:
        """What a step needs, over all ranks: each sequence once in each of `parts`, which see nothing of each other.

        `lengths`: [num_sequences], of which `ligand` and `receptor` [num_pairs] have the numbers of the step's pairs.
        `parts`: places of the pairs, see `equal_parts`.
        """
        order = np.concatenate(parts)
        first = np.repeat(np.arange(len(parts)) * len(lengths), [len(part) for part in parts])
        ligands, receptors = (lengths[np.unique(first + side[order]) % len(lengths)] for side in (ligand, receptor))
        return self._needed(ligands, receptors, lengths[ligand], lengths[receptor])

    def share(self, operations: float, seconds: float) -> float:
        """Of the limit, by a step that took so long."""
        return operations / seconds / self._limit


def _rows(device: torch.device) -> int:
    """Enough for every thread of a processor, in a product that is over before another process takes its place.

    A GPU is done with so few before it is asked for the next ones.
    """
    return 32768 if device.type == "cuda" else 512 * torch.get_num_threads()


def products_of(network: nn.Module) -> list[tuple[int, int]]:
    """Its largest matrix products: columns of their input and of their output."""
    found = {(weight[0].numel(), len(weight)) for weight in network.parameters() if weight.dim() > 1}
    return sorted(found, key=lambda sizes: sizes[0] * sizes[1])[-_MOST_PRODUCTS:]
