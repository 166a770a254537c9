"""Score files as Rosetta writes them: blanks for columns, three decimals, the tag at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

FLEXPEPDOCK = [
    *("total_score", "score", "I_bsa", "I_hb", "I_pack", "I_sc", "I_unsat", "bestRMS_4mer_all", "bestRMS_6mer_all"),
    *("dslf_fa13", "fa_atr", "fa_dun", "fa_elec", "fa_intra_rep", "fa_intra_sol_xover4", "fa_rep", "fa_sol"),
    *("hbond_bb_sc", "hbond_lr_bb", "hbond_sc", "hbond_sr_bb", "lk_ball_wtd", "omega", "p_aa_pp", "pep_sc"),
    *("pep_sc_noref", "pro_close", "rama_prepro", "ref", "reweighted_sc", "rmsALL", "rmsBB", "rmsCA", "startRMSall"),
    "yhh_planarity",
]
"""The terms of a FlexPepDock run with ref2015."""


def names_line(terms: Sequence[str] = FLEXPEPDOCK) -> str:
    """The line of names."""
    return "SCORE: " + " ".join(f"{term:>12}" for term in terms) + " description \n"


def decoy_line(tag: str, scores: Mapping[str, float], terms: Sequence[str] = FLEXPEPDOCK) -> str:
    """The line of a decoy; terms that are not given are 0."""
    cells = (f"{scores.get(term, 0.0):{max(12, len(term))}.3f}" for term in terms)
    return f"SCORE: {' '.join(cells)} {tag}\n"


def score_file(decoys: Mapping[str, Mapping[str, float]]) -> str:
    """A whole score file."""
    return "SEQUENCE: \n" + names_line() + "".join(decoy_line(tag, scores) for tag, scores in decoys.items())


def docking(num_pairs: int, num_decoys: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Decoys `recI_pepJ_0001` of distinct pairs of 10 receptors, scores rounded as in the file."""
    rng = np.random.default_rng(seed)
    decoys = {}
    for pair in range(num_pairs):
        middle, width = rng.normal(-25, 8), rng.uniform(0.2, 4)
        for decoy in range(num_decoys):
            interface = round(float(middle + width * rng.standard_normal()), 3)
            scores = {term: round(float(rng.normal(0, 50)), 3) for term in FLEXPEPDOCK}
            decoys[f"rec{pair % 10}_pep{pair // 10}_{decoy + 1:04d}"] = scores | {"I_sc": interface}
    return decoys
