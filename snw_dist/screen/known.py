"""How many known binders the first stage passes on to the second one: those of the calibration pairs.

The sample of `snw_dist.screen.sample` tells what the second stage would have taken; this tells what is right to take,
for the receptors of which something is known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from snw_dist.bundle.calibration_pairs import read_calibration_pairs
from snw_dist.screen.calibration import learned_from, scored_again
from snw_dist.screen.making import Making
from snw_dist.screen.unit import ListUnits


def known_binders(making: Making) -> dict[str, Any]:
    """`binders`, `passed_on` and their `split`; or `why` nothing is known.

    A binder is passed on if its first score is at least the last one of the list of its receptor.
    """
    bundle, first = making.ranking.scorer.bundle, making.towers.scorer.bundle
    pairs = read_calibration_pairs(bundle)
    if pairs is None:
        return {"why": f"{bundle.says.name} has no calibration pairs (snw-dist export --calibration-split NAME)"}
    if learned_from(pairs, bundle, first):
        return {"why": f"{first.says.name} may have learned from the calibration pairs of {bundle.says.name}"}
    place = {one: number for number, one in enumerate(making.sides.receptors.sequences.all())}
    chosen = [
        number
        for number, receptor in enumerate(pairs.receptor)
        if pairs.positive[number] and pairs.receptors[receptor] in place
    ]
    if not chosen:
        return {"why": f"{bundle.says.name} has no binders of these receptors among its calibration pairs"}
    ligand, receptor = ([side[one] for one in chosen] for side in (pairs.ligand, pairs.receptor))
    binders = replace(pairs, ligand=ligand, receptor=receptor, positive=[True] * len(chosen), score=[0.0] * len(chosen))
    score = scored_again(binders, making.towers, making.plan.content.dtype).score
    lists = ListUnits(making.scoring)
    last = np.concatenate([lists.read(group).score.numpy()[:, -1] for group in range(len(lists))])
    of = [place[pairs.receptors[one]] for one in receptor]
    passed = int((np.array(score, np.float32) >= last[of]).sum())
    return {"split": pairs.split, "binders": len(chosen), "passed_on": passed}
