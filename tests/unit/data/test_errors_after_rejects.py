"""Every error that follows rejected records says how many of how many, and names the first three of them."""

from __future__ import annotations

from typing import Any

import pytest

from hpc.errors import InputError
from snw_dist.data.prepare import prepare
from tests.kit.data_inputs import LIGANDS, PAIRS, Inputs

HEADER, *ROWS = PAIRS.splitlines()
BAD = "".join(f">bad{i}\nM-\n" for i in range(1, 6))
POSITIVE = f"{HEADER}\n" + "".join(f"pep{i},rec{r},1,{s}\n" for i, r, s in (("1", "A", "train"), ("2", "B", "train")))
MANY = f"{HEADER}\nbad1,recA,1,train\n" + "".join(f"pep1,recA,1,s{i}\n" for i in range(101))
SCORES = "ligand_id,receptor_id,s,split\nbad1,recA,1,train\n" + "".join(f"pep{i},recA,-3,train\n" for i in (1, 2, 3))
EQUAL = SCORES + "pep4,recB,-1,val\npep4,recA,-2,test\n"
NO_NEGATIVES = f"{HEADER}\nbad1,recA,1,train\n" + "".join(
    f"pep{i},recA,1,{s}\n" for i, s in ((1, "train"), (2, "train"), (3, "val"), (4, "test"))
)
TAGS = {"term": "s", "description": "(?P<ligand>.)(?P<receptor>.)"}
ERRORS: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "no split": (f"{HEADER}\nbad1,recA,1,train\n", {}, "no usable pairs in: train; val", "1 of 1 pairs"),
    "a split is empty": (f"{PAIRS}bad1,recA,1,x\n", {}, "all pairs of split 'x' were rejected", "1 of 5 pairs"),
    "one class": (PAIRS.replace("pep1", "bad1"), {}, "has no positive pairs among 1", "1 of 4 pairs"),
    "other class": (PAIRS.replace("pep2", "bad1"), {}, "has only positive pairs among 1", "1 of 4 pairs"),
    "no pair": (f"{HEADER}\nbad1,recA,1,train\n", {"split": "random"}, "The split needs at least 3", "1 of 1 pairs"),
    "few clusters": (PAIRS.replace("recB", "bad2"), {"split": "receptor_cold"}, "needs at least 3", "2 of 4 pairs"),
    "cold": (
        f"{PAIRS}bad1,recA,1,train\n",
        {"split": "both_cold"},
        "The split needs at least 3 clusters",
        "1 of 5 pairs",
    ),
    "negatives there": (
        PAIRS.replace("pep1", "bad1"),
        {"negatives": "derangement"},
        "2 of 3 pairs are negative",
        "1 of 4 pairs",
    ),
    "no negatives": (NO_NEGATIVES, {"negatives": "derangement"}, "No negatives can be dealt in", "1 of 5 pairs"),
    "equal scores": (EQUAL, {"scores": {"term": "s"}}, "all 3 scores of the train split are equal", "1 of 6 pairs"),
    "many splits": (MANY, {}, "more than 100 different splits", "1 pairs"),
    "no rows": (f"{HEADER}\n", {}, "the table has a header and no rows", "5 of 9 ligands"),
    "no column": (PAIRS.replace("label", "y"), {}, "no column 'label'", "5 of 9 ligands"),
    "broken quote": (f'{PAIRS}"pep1,recA\n', {}, "is opened and not closed", "5 of 9 ligands"),
    "no term": ("SCORE: a description\n", {"scores": TAGS}, "no term 's'", "5 of 9 ligands"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_it_is_said(inputs: Inputs, kind: str) -> None:
    pairs, data, said, counted = ERRORS[kind]
    data = dict(data)
    if "split" in data:
        data["split"] = {"method": data["split"], "clusters": "identical"}
    name = "pairs.csv"
    if "description" in data.get("scores", {}):
        name, data["split"] = "pairs.sc", {"method": "random"}
    config = inputs(ligands=LIGANDS + BAD, pairs=pairs, names=("l.fasta", "r.fasta", name), on_invalid="skip", **data)
    with pytest.raises(InputError) as caught:
        prepare(config)
    lines = str(caught.value).splitlines()
    assert said in lines[0]
    assert str(config.data.pairs) in lines[0]
    assert lines[1].startswith("Before that, bad records were left out: 5 of 9 ligands")
    assert counted in lines[1]
    assert len(lines) == 5
    assert all("l.fasta:" in line for line in lines[2:])
