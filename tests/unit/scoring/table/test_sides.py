"""A cell is a sequence or an id, and what is neither is told with its reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.scoring.table.sides import Refused, Side, give, read_ids
from tests.kit.table_tools import RULES


@pytest.fixture
def fasta(tmp_path: Path) -> Path:
    path = tmp_path / "receptors.fasta"
    path.write_text(">HLA-A*02:01\nMKV\nAA\n>bad\nM1\n>twice\nMK\n>twice\nMKV\n>sp|P1234|NAME\nGG\n")
    return path


def test_ids_of_a_file(fasta: Path) -> None:
    side = Side("receptor", RULES)
    read_ids(side, fasta)
    assert [side.find(cell) for cell in ("HLA-A*02:01", " P1234 ")] == ["MKVAA", "GG"]
    reasons = [side.find(cell) for cell in ("", "bad", "twice", "MKVAA", "hla-a*02:01")]
    assert all(isinstance(reason, Refused) for reason in reasons)
    assert "empty" in reasons[0].reason  # type: ignore[union-attr]
    assert "was rejected (line 4 of receptors.fasta)" in reasons[1].reason  # type: ignore[union-attr]
    assert "write 'HLA-A*02:01'" in reasons[4].reason  # type: ignore[union-attr]
    assert any("3 of 5 records cannot be used" in note for note in side.notes)


@pytest.mark.parametrize(("identifier", "sequence"), [("HLA-A*02:01", "MKVAA"), ("sp|P1234|NAME", "GG")])
def test_a_record_for_all_rows(fasta: Path, identifier: str, sequence: str) -> None:
    side = Side("receptor", RULES)
    give(side, f"{fasta}:{identifier}")
    assert side.given == (identifier, sequence)
    assert side.find("anything") == sequence


@pytest.mark.parametrize("text", ["", "M1V", "no.fasta:HLA", "{fasta}:none", "{fasta}:bad", "{fasta}:twice"])
def test_what_cannot_be_given(fasta: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"^--receptor "):
        give(Side("receptor", RULES), text.format(fasta=fasta))


@pytest.mark.parametrize("cell", ["NA", "nan", "NaN", "None"])
def test_a_missing_value_is_no_sequence(cell: str) -> None:
    found = Side("ligand", RULES).find(cell)
    assert isinstance(found, Refused)
    assert found.reason.startswith(f"the ligand is missing ({cell})")
    assert ("give it an id in a FASTA" in found.reason) == (cell != "None")  # O is no amino acid


def test_longer_than_the_networks_take() -> None:
    side = Side("ligand", RULES, longest=3)
    assert side.find("MKV") == "MKV"
    assert side.find("MKVA") == Refused("ligand: 4 residues, the networks take 3 at most", "MKVA")
