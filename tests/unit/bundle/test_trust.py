"""What a bundle says of how far it can be trusted: it comes from validation, and from nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hpc.disk.strict import validated
from hpc.errors import CorruptError
from snw_dist.bundle.members import Chosen, chosen_members
from snw_dist.bundle.nearest import Known
from snw_dist.bundle.trust import RARE, Trust, trained_sequences, trust_of
from snw_dist.config import SnwConfig


def with_tables(chosen: Chosen, change: Any) -> Chosen:
    """Other predictions of the members."""
    members = [dataclasses.replace(one, predictions=change(one.predictions.copy())) for one in chosen.members]
    return dataclasses.replace(chosen, members=members)


def test_limits_are_those_of_validation(run: SnwConfig, made: Path) -> None:
    chosen = chosen_members(run, None)
    table = chosen.members[0].predictions
    val = table[table["split"] == "val"]
    found = json.loads((made / "trust.json").read_text())
    assert found == trust_of(chosen, found["band"])
    assert found["num_positive"] == val["positive"].sum()
    assert found["num_negative"] == (~val["positive"]).sum()
    assert found["limits"] == {"ligand": 1.0, "receptor": 1.0, "disagreement": None}, "all are in training"
    assert len(found["band"]) > 2


def test_a_limit_is_what_few_pairs_of_validation_go_beyond(run: SnwConfig) -> None:
    chosen = chosen_members(run, None)

    def far(table: pd.DataFrame) -> pd.DataFrame:
        """Ligands ever farther from those of training; those of the other splits are not to count."""
        table["ligand"] = [f"{text[:4]}{'W' * number}" for number, text in enumerate(table["ligand"])]
        table.loc[table["split"] != "val", "ligand"] = "W"
        return table

    changed = with_tables(chosen, far)
    limit = trust_of(changed, [])["limits"]["ligand"]
    ligands = Known(trained_sequences(chosen.members).ligands)
    table = changed.members[0].predictions
    identities = np.array([one.identity for one in ligands.nearest(table.loc[table["split"] == "val", "ligand"])])
    assert 0 < (identities < limit).sum() <= RARE * len(identities)
    assert (identities <= limit).sum() > RARE * len(identities)


def test_members_disagree_beyond_what_is_rare_on_validation(comparison: SnwConfig) -> None:
    chosen = chosen_members(comparison, "all")
    tables = [member.predictions for member in chosen.members]
    val = (tables[0]["split"] == "val").to_numpy()
    apart = np.ptp([table["probability"] for table in tables], axis=0)
    limit = trust_of(chosen, [])["limits"]["disagreement"]
    assert (apart[val] > limit).sum() <= RARE * val.sum()
    assert limit in apart[val]
    spoilt = with_tables(chosen, lambda table: table.assign(probability=table["probability"].where(val, 0.5)))
    assert trust_of(spoilt, [])["limits"]["disagreement"] == limit, "the other splits do not count"


def test_each_fold_is_compared_with_its_own_training() -> None:
    """With the training pairs of all folds together nothing would be new."""
    sequences = {"a": "AAAA", "b": "AACC", "c": "CCCC"}

    def member(train: str, val: str) -> Any:
        pairs = pd.DataFrame({"ligand_id": list(train), "receptor_id": list(train), "split": "train"})
        prepared = SimpleNamespace(pairs=pairs, ligands=sequences, receptors=sequences, symmetric=False)
        held_out = [sequences[name] for name in val]
        table = pd.DataFrame({"split": "val", "ligand": held_out, "receptor": held_out, "positive": True})
        return SimpleNamespace(prepared=prepared, predictions=table, fold=train)

    chosen = Chosen([member("a", "cb"), member("bc", "a")], {})
    found = trust_of(chosen, [])
    assert found["limits"] == {"ligand": 0.0, "receptor": 0.0, "disagreement": None}, "no pair has two members"
    assert (found["num_positive"], found["num_negative"]) == (3, 0)
    assert trust_of(Chosen(chosen.members[1:], {}), [])["limits"]["ligand"] == 0.5


BAND = [[0.1, 0.0, 0.2], [0.5, 0.3, 0.6]]


@pytest.mark.parametrize(
    "band",
    [[[0.1, 0.2, 0.1]], BAND[::-1], [[0.1, 0.0, 1.5]], [[0.1, 0.0]], [[0.1, 0.3, 0.4], [0.2, 0.2, 0.5]]],
)
def test_a_band_that_is_none_is_refused(band: list[list[float]]) -> None:
    content = {
        "num_positive": 3,
        "num_negative": 4,
        "limits": {"ligand": 0.5, "receptor": 1.0, "disagreement": None},
    }
    assert validated(Trust, content | {"band": BAND}, "trust.json").limits.receptor == 1.0
    with pytest.raises(CorruptError, match=r"trust\.json"):
        validated(Trust, content | {"band": band}, "trust.json", refuse=CorruptError)
