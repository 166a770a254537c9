"""Names for the sizes of tensors: which of them is a number of pairs, which a length, and which belongs to the network.

The network runs twice, on batches whose sizes differ. A size that is the same in both is the network's own; any other
is known by the two values that it had.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from snw_dist.inspect.trace import Shape
from snw_dist.model.changeformer import NUM_STAGES
from snw_dist.model.pair import Side

_OTHER_LENGTHS = ((24, 40), (40, 24), (28, 60), (60, 28))


@dataclass(frozen=True)
class Batch:
    """Sizes of a batch; all sequences of a side are of one length."""

    num_ligands: int
    num_receptors: int
    num_pairs: int
    ligand_length: int
    receptor_length: int

    def sides(self, d_input: int) -> tuple[Side, Side]:
        """Random embeddings, the same for the same sizes: ligands and receptors, with `num_pairs` pairs of them."""
        draw = torch.Generator().manual_seed(0)
        ligand = self._side(self.num_ligands, self.ligand_length, d_input, draw)
        return ligand, self._side(self.num_receptors, self.receptor_length, d_input, draw)

    def _side(self, number: int, length: int, d_input: int, draw: torch.Generator) -> Side:
        states = torch.randn(number, length, d_input, generator=draw)
        index = torch.arange(self.num_pairs) % number
        return Side(states, torch.ones(number, length, dtype=torch.bool), index, (length,) * number)


def two_batches(ligand_length: int, receptor_length: int) -> tuple[Batch, Batch]:
    """One pair of these lengths, and a batch in which every size is another."""
    one = Batch(1, 1, 1, ligand_length, receptor_length)
    others = [Batch(2, 3, 5, ligand, receptor) for ligand, receptor in _OTHER_LENGTHS]
    return one, next(other for other in others if _told_apart(_sizes(one, other)))


class Symbols:
    """Names of the sizes that differ between two batches: `N_pair`, `L_ligand`, `L_ligand/2`, ..."""

    def __init__(self, one: Batch, other: Batch) -> None:
        self._names = {values: name for name, values in _sizes(one, other).items()}

    def named(self, one: Shape, other: Shape) -> tuple[str, ...]:
        """The sizes of a tensor as it was in both batches: by its name, or as the number that is the network's own."""
        return tuple(str(a) if a == b else self._names[a, b] for a, b in zip(one, other, strict=True))


def _sizes(one: Batch, other: Batch) -> dict[str, tuple[int, int]]:
    """Name of each size that a tensor may have by its batch -> what it is in both; a stage halves a length."""
    found = {
        "N_ligand": (one.num_ligands, other.num_ligands),
        "N_receptor": (one.num_receptors, other.num_receptors),
        "N_pair": (one.num_pairs, other.num_pairs),
    }
    for side in ("ligand", "receptor"):
        a, b = (getattr(batch, f"{side}_length") for batch in (one, other))
        for stage in range(NUM_STAGES):
            shorter = f"/{2**stage}" if stage else ""
            found[f"L_{side}{shorter}"] = -(-a // 2**stage), -(-b // 2**stage)
    return found


def _told_apart(sizes: dict[str, tuple[int, int]]) -> bool:
    return len(set(sizes.values())) == len(sizes) and all(a != b for a, b in sizes.values())
