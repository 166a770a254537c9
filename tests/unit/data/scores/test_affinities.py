"""Affinities with inequalities through the whole of `prepare`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from tests.kit.data_inputs import Inputs
from tests.kit.scored_inputs import error_of, prepared_of

AFFINITIES = (
    "ligand_id,receptor_id,ic50,inequality,split\n"
    "pep1,recA,50,=,train\npep2,recA,30000,>,train\npep3,recA,10,<,train\npep4,recA,100,>,train\n"
    "pep3,recB,2000,<,val\npep2,recB,5000,=,val\npep4,recB,490,,test\n"
)
AFFINITY = {
    "scores": {"term": "ic50", "transform": "log_affinity"},
    "columns": {"inequality": "inequality"},
    "positive_from": 0.426,
}


def test_affinities_with_inequalities(inputs: Inputs) -> None:
    """> 100 nM and < 2,000 nM leave open whether the pair binds with 500 nM; > 30,000 and < 10 do not."""
    config = inputs(pairs=AFFINITIES, **AFFINITY)
    summary = prepare(config)
    data = load_prepared(config.data_folder)
    assert data.scores is not None
    assert data.scores["score"].tolist() == [50, 30_000, 10, 5000, 490]
    assert data.scores["inequality"].tolist() == ["=", ">", "<", "=", "="]
    np.testing.assert_allclose(data.pairs["label"], 1 - np.log(data.scores["score"]) / np.log(50_000))
    assert data.pairs["positive"].tolist() == [True, False, True, False, True]
    assert (data.pairs["weight"] == 1).all()
    dropped = pd.read_parquet(config.data_folder / "dropped.parquet")
    assert dropped.to_numpy().tolist() == [["pep4", "recA", "undetermined"], ["pep3", "recB", "undetermined"]]
    assert summary.dropped == {"undetermined": 2}
    assert "2 of 7 pairs dropped: undetermined." in summary.notes


def test_a_binary_column_decides_what_an_inequality_leaves_open(inputs: Inputs) -> None:
    lines = AFFINITIES.splitlines()
    pairs = "\n".join([lines[0] + ",binds"] + [f"{line},{i % 2}" for i, line in enumerate(lines[1:])])
    columns = {"inequality": "inequality", "binary": "binds"}
    data = prepared_of(inputs(pairs=pairs, **AFFINITY | {"columns": columns}))
    assert data.pairs["positive"].tolist() == [False, True, False, True, False, True, False]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("pep1,recB,0,=,train", "the affinity '0' is not above 0. Correct"),
        ("pep1,recB,-3,=,train", "the affinity '-3' is not above 0. Correct"),
        ("pep1,recB,5,~,train", "the inequality '~' is not one of <, <=, =, >=, >. Correct"),
        ("pep1,recA,51,=,train", "contradictory pair: affinity 51.0 here, 50.0 at line 2."),
        ("pep1,recA,50,<,train", "contradictory pair: inequality < here, = at line 2."),
    ],
)
def test_bad_affinities(inputs: Inputs, row: str, reason: str) -> None:
    assert reason in error_of(inputs(pairs=AFFINITIES + row + "\n", **AFFINITY))


TURNED = {"<": ">", ">": "<", "=": "=", "": ""}


def in_unit(unit: str, inside: bool) -> str:
    """The same affinities as `AFFINITIES`; `inside`: the inequality stands in the cell."""
    head, *lines = AFFINITIES.splitlines()
    rows = [head]
    for line in lines:
        ligand, receptor, value, sign, split = line.split(",")
        number = float(value)
        told = {"uM": number / 1e3, "M": number / 1e9, "pK": 9 - np.log10(number)}[unit]
        sign = TURNED[sign] if unit == "pK" else sign
        cells = (f"{sign}{told!r}", "") if inside else (f"{told!r}", sign)
        rows.append(",".join((ligand, receptor, *cells, split)).replace("np.float64(", "").replace(")", ""))
    return "\n".join(rows) + "\n"


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("unit", ["uM", "M", "pK"])
def test_other_units_give_the_same_data(inputs: Inputs, unit: str, inside: bool) -> None:
    """A pK above 7 is an affinity below 100 nM: without turning it round, non-binders became binders."""
    config = inputs(pairs=AFFINITIES, **AFFINITY)
    prepare(config)
    there = {path.name: path.read_bytes() for path in config.data_folder.glob("*.parquet")}
    scores = {**AFFINITY["scores"], "unit": unit}  # type: ignore[dict-item]
    config = inputs(pairs=in_unit(unit, inside), **AFFINITY | {"scores": scores})
    notes = prepare(config).notes
    assert {path.name: path.read_bytes() for path in config.data_folder.glob("*.parquet")} == there
    assert any(f"affinities are given in {unit}, and kept as nM" in note for note in notes)


def test_a_pk_that_is_none(inputs: Inputs) -> None:
    scores = {"term": "ic50", "transform": "log_affinity", "unit": "pK"}
    told = error_of(inputs(pairs=AFFINITIES, **AFFINITY | {"scores": scores}))
    assert "pairs.csv:2: pep1/recA: the pK '50' is not between -3 and 20, as -log10 of an affinity in M is" in told
    with pytest.raises(InputError, match=r"data\.scores\.unit needs data\.scores\.term and"):
        inputs(pairs=AFFINITIES, scores={"unit": "M"})
