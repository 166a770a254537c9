"""Tables that have the sequences themselves: they are found, named where something names them, and can be prepared."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.starting.settings import first_settings
from tests.kit.own_files import NUMBERS, PAIRS, PEPTIDES, PROTEINS, fasta, sides, table
from tests.kit.started import guessed

BOTH = [(PEPTIDES[one], PROTEINS[other], value) for (one, other), value in zip(PAIRS, NUMBERS, strict=True)]


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        first_settings(folder, folder, {}, {}, "first")
    return str(caught.value)


def test_both_sides_without_any_fasta_file(tmp_path: Path) -> None:
    table(tmp_path / "t.tsv", ["PEPTIDE", "MHC", "BINDING SCORE"], BOTH, "\t")
    found = guessed(tmp_path)
    assert (found["columns.ligand_sequence"], found["columns.receptor_sequence"]) == ("PEPTIDE", "MHC")
    assert (found["columns.ligand"], found["columns.receptor"]) == (None, None)
    assert found["columns.label"] == "BINDING SCORE"
    assert not {"ligands", "receptors"} & set(found)
    pd.DataFrame(BOTH, columns=["a", "b", "score"]).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.tsv").unlink()
    found = guessed(tmp_path)
    assert (found["columns.ligand_sequence"], found["columns.receptor_sequence"]) == ("a", "b")


def test_one_side_in_the_table_and_the_other_by_ids(tmp_path: Path) -> None:
    fasta(tmp_path / "hla.fa", PROTEINS)
    rows = [(other, PEPTIDES[one], "yes" if v > 0.5 else "no") for (one, other), v in zip(PAIRS, NUMBERS, strict=True)]
    table(tmp_path / "t.csv", ["ALLELE", "PEPTIDE", "BOUND"], rows)
    found = guessed(tmp_path)
    assert (found["receptors"], found["columns.receptor"]) == ("hla.fa", "ALLELE")
    assert (found["columns.ligand_sequence"], found["columns.ligand"]) == ("PEPTIDE", None)
    assert "ligands" not in found
    named = first_settings(tmp_path, tmp_path, {"ligands": tmp_path / "hla.fa"}, {}, "first")
    assert ("data.columns.receptor_sequence", "PEPTIDE") in [(guess.key, guess.value) for guess in named]


def test_a_column_that_names_each_long_sequence(tmp_path: Path) -> None:
    proteins = {name: sequence * 2 for name, sequence in PROTEINS.items()}
    rows = [
        (n, one, PEPTIDES[one], other, "human", proteins[other], value)
        for n, ((one, other), value) in enumerate(zip(PAIRS, NUMBERS, strict=True))
    ]
    names = ["No", "peptide name", "peptide", "allele", "species name", "sequence", "score"]
    table(tmp_path / "t.csv", names, rows)
    found = guessed(tmp_path)
    assert (found["columns.receptor_sequence"], found["columns.receptor"]) == ("sequence", "allele")
    assert (found["columns.ligand_sequence"], found["columns.ligand"]) == ("peptide", None)
    rows[0] = (*rows[0][:3], "HLA-7", *rows[0][4:])  # now this name stands for two sequences
    table(tmp_path / "t.csv", names, rows)
    assert guessed(tmp_path)["columns.receptor"] is None


def test_pairs_of_proteins(tmp_path: Path) -> None:
    every = list((PROTEINS | PEPTIDES).values())
    rows = [(one, every[n - 5], n % 2) for n, one in enumerate(every)]
    table(tmp_path / "ppi.csv", ["a", "b", "interacts"], rows)
    found = guessed(tmp_path)
    assert (found["symmetric"], found["columns.ligand_sequence"]) == (True, "a")


def test_ids_of_fasta_files_come_first_and_files_that_fit_nothing_are_left(tmp_path: Path) -> None:
    sides(tmp_path)
    rows = [(*pair, *row) for pair, row in zip(PAIRS, BOTH, strict=True)]
    table(tmp_path / "t.csv", ["pep", "rec", "pep_seq", "rec_seq", "score"], rows)
    found = guessed(tmp_path)
    assert (found["columns.ligand"], found["columns.receptor"]) == ("pep", "rec")
    assert "columns.ligand_sequence" not in found
    table(tmp_path / "t.csv", ["pep_seq", "rec_seq", "score"], BOTH)
    assert guessed(tmp_path)["columns.receptor_sequence"] == "rec_seq"
    given = {"data.columns.ligand_sequence": "rec_seq", "data.columns.receptor_sequence": "pep_seq"}
    turned = {guess.key: guess.value for guess in first_settings(tmp_path, tmp_path, {}, given, "first")}
    assert turned["data.columns.ligand_sequence"] == "rec_seq"


def test_columns_of_which_nobody_knows_which_are_meant(tmp_path: Path) -> None:
    rows = [(one[:5], one, other, other[:30], value) for one, other, value in BOTH]
    table(tmp_path / "t.csv", ["cdr3 seq", "peptide", "mhc", "mhc_pseudo", "score"], rows)
    assert "Columns that hold sequences: mhc, mhc_pseudo, cdr3 seq, peptide. Name those that are meant" in refused(
        tmp_path
    )
    table(
        tmp_path / "t.csv", ["cdr3 seq", "peptide", "mhc", "number", "score"], [(*row[:3], 7, row[4]) for row in rows]
    )
    found = guessed(tmp_path)
    assert (found["columns.ligand_sequence"], found["columns.receptor_sequence"]) == ("peptide", "mhc")
    table(tmp_path / "t.csv", ["peptide", "allele", "score"], [(row[1], "A*02:01", row[4]) for row in rows])
    assert "it is not clear where the sequences of both sides are" in refused(tmp_path)
