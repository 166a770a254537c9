"""Ids of the pair table that stand in the FASTA file in another way: taken where it is sure, else named."""

from __future__ import annotations

import unicodedata

import pytest

from hpc.errors import InputError
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from tests.kit.data_inputs import LIGANDS, PAIRS, Inputs

ACCENT = unicodedata.normalize("NFC", "pép1")


def test_a_field_between_bars_is_taken_where_one_record_has_it(inputs: Inputs) -> None:
    ligands = LIGANDS.replace(">pep1", ">sp|pep1|X_HUMAN").replace(">pep2", ">sp|pep2|Y_HUMAN")
    config = inputs(ligands=ligands)
    summary = prepare(config)
    assert load_prepared(config.data_folder).pairs["ligand_id"].tolist() == [
        *("sp|pep1|X_HUMAN", "sp|pep2|Y_HUMAN", "pep3", "pep4")
    ]
    note = "2 ligand ids are a field between bars of the ids in data.ligands, such as pep1 in sp|pep1|X_HUMAN."
    assert any(note in one for one in summary.notes)


@pytest.mark.parametrize(
    ("header", "cell", "hint"),
    [
        (
            "sp|pep1|A\nMKVA\n>tr|pep1|B",
            "pep1",
            "Several ids have it between bars, such as 'sp|pep1|A' and 'tr|pep1|B'",
        ),
        ("pep1", "sp|pep1|A", "Write the field that is the id: 'pep1'."),
        ("pep1", "PEP1", "Upper and lower case differ: write 'pep1'."),
        ("pep1", "pep1 first", "An id is the first word after >: write 'pep1'."),
        ("pep1", ">pep1", "Write it without >: 'pep1'."),
        ("pep1", "MKVA", "It is the sequence of 'pep1': write that id."),
        (
            ACCENT,
            unicodedata.normalize("NFD", ACCENT),
            r"(Unicode forms): 'pe\u0301p1' here, 'p\xe9p1' there. Copy the id",
        ),
        ("pep1", "pep11", "Did you mean 'pep1'?"),
        ("pep1", "zzzzzzz", "Add its sequence or remove the row."),
    ],
)
def test_the_hint_names_the_id(inputs: Inputs, header: str, cell: str, hint: str) -> None:
    config = inputs(ligands=LIGANDS.replace(">pep1 first", f">{header}"), pairs=PAIRS.replace("pep1", cell))
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert hint in str(caught.value)


def test_a_rejected_record_is_not_replaced_by_another_that_has_its_name_between_bars(inputs: Inputs) -> None:
    config = inputs(ligands=LIGANDS.replace("MKVA", "M-VA") + ">sp|pep1|X\nMKVA\n")
    with pytest.raises(InputError, match="the sequence of ligand 'pep1' was rejected"):
        prepare(config)
