"""The network of a screen: one with a tower for each side, so that a sequence has a vector that no partner changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch

from hpc.errors import InputError
from snw_dist.bundle.read import Bundle
from snw_dist.model.pair import PairModel
from snw_dist.predict.score import vectors_of
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.library import Kind

NETWORKS = ("siamese", "pseudo_siamese", "triplet")
"""Those whose score is a distance of two vectors."""
_PASS = 1 << 10


def check_network(bundle: Bundle) -> None:
    """Raise `InputError` for a bundle whose score is no distance of two vectors, with what to do."""
    members = bundle.says.members
    fitting = [name for name, entry in members.items() if entry.network in NETWORKS]
    what = f"{bundle.folder}: a screen needs one network with a vector for each sequence ({', '.join(NETWORKS)})"
    if len(members) > 1:
        hint = f"one of these would do: {', '.join(fitting)}" if fitting else "none of these has such vectors"
        raise InputError(
            f"{what}, and this bundle has {len(members)} members; {hint}. Make a bundle of one member: "
            "snw-dist export --members takes its name. All of them can look again at the best: --rerank."
        )
    [entry] = members.values()
    if entry.network not in NETWORKS:
        raise InputError(
            f"{what}, and this one is {entry.network}. Give the bundle of such a network as --bundle, and this one "
            "as --rerank: it looks again at the best."
        )


class Towers:
    """Vectors of sequences, and the score of two vectors, by the one network of a bundle."""

    def __init__(self, scorer: PairScorer) -> None:
        """Raises `InputError` as `check_network`."""
        check_network(scorer.bundle)
        self.scorer = scorer
        [self.member] = scorer.members
        network: Any = self.member.network
        self.margin: float = (network.network if self.member.tuned else network).margin
        """Of the score, which is one of the distance."""

    def vectors(self, side: Kind, sequences: Sequence[str]) -> torch.Tensor:
        """[sequences, size] float32 unit vectors of cleaned sequences."""
        reader = self.scorer.reader(self.member, list(sequences))
        return vectors_of(self.member.network, side, reader, self.member.max_length, self.scorer.device)

    @torch.inference_mode()
    def scores(self, ligands: torch.Tensor, receptors: torch.Tensor) -> torch.Tensor:
        """[pairs] float32: the scores of two vectors each, by the network's own arithmetic; [pairs, size] each."""
        network, found = cast(PairModel, self.member.network), torch.empty(len(ligands))
        for start in range(0, len(ligands), _PASS):
            left, right = (side[start : start + _PASS].float() for side in (ligands, receptors))
            place = torch.arange(len(left))
            found[start : start + _PASS] = network.pairs((left,), place, (right,), place).score.cpu()
        return found
