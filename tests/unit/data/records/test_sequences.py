"""Every cleaning rule for sequences and ids, with file:line and what was changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snw_dist.data.files.rejects import Reject, Rejects
from snw_dist.data.records.sequences import SequenceTable, read_sequences


def _read(tmp_path: Path, text: str, **rules: Any) -> tuple[SequenceTable, list[Reject]]:
    path = tmp_path / "x.fasta"
    path.write_text(text, encoding="utf-8", newline="")
    rejects = Rejects()
    rules = {"non_standard": "reject", "min_length": 1, "max_length": 100} | rules
    table = read_sequences("ligands", path, "x.fasta", rejects, **rules)
    assert table.read == len(table.sequences) + table.merged + rejects.total
    return table, rejects.kept


@pytest.mark.parametrize(
    ("record", "line", "reason"),
    [
        (">a\nM*K\n", 2, "'*' at column 2 is not an amino acid"),
        (">a\nMK\nM1K\n", 3, "'1' at column 2 is not an amino acid"),
        (">a\nMK\n\nMK-\n", 4, "'-' at column 3"),
        (">a\nM.K\n", 2, "'.' at column 2"),
        (">a\nMK<pad>\n", 2, "'<' at column 3"),
        (">a\nMK>b\n", 2, "'>' at column 3"),
        (">a\nM\x00K\n", 2, r"'\x00' at column 2"),
        (">a\nMKß\n", 2, "'ß' at column 3"),
        (">a\nMKſ\n", 2, "'ſ' at column 3"),
        (">a\nMK\u00a0V\n", 2, r"'\xa0' at column 3"),
        (">a\nMＫ\n", 2, "'Ｋ' at column 2"),
        (">a\nMJK\n", 2, "'J' at column 2 is not one of the 20 standard"),
        (">a\nMKx\n", 2, "'x' at column 3 is not one of the 20 standard"),
        (">a\n\n", 1, "the sequence is empty"),
        (">a\n \t\n", 1, "the sequence is empty"),
        (f">a\n{'M' * 101}\n", 1, "101 residues, the most allowed is 100"),
        (">\nMKV\n", 1, "the id is empty"),
        (">a\x07b\nMKV\n", 1, "the id has unprintable characters"),
        (">a\u202eb\nMKV\n", 1, "the id has unprintable characters"),
        (f">{'a' * 501}\nMKV\n", 1, "the id is longer than 500 characters"),
    ],
)
def test_rejected_with_place_reason_and_fix(tmp_path: Path, record: str, line: int, reason: str) -> None:
    table, rejects = _read(tmp_path, f">good\nMKV\n{record}>good2\nAAA\n")
    assert list(table.sequences) == ["good", "good2"]
    (reject,) = rejects
    assert reject.line == line + 2
    assert reason in reject.reason
    assert reject.fix.endswith(".")


def test_longest_known_protein_passes(tmp_path: Path) -> None:
    table, _ = _read(tmp_path, f">titin\n{'MKVLA' * 7000}\n", max_length=35_000)
    assert len(table.sequences["titin"]) == 35_000


def test_minimum_length(tmp_path: Path) -> None:
    table, (reject,) = _read(tmp_path, ">a\nMK\n>b\nMKV\n", min_length=3)
    assert list(table.sequences) == ["b"]
    assert reject.reason == "2 residues, the fewest allowed is 3"


def test_changes_are_noted_with_their_first_line(tmp_path: Path) -> None:
    text = ">a\nMKV\n>b\nmkv\n>c\nmK V\n>d\nM\tV\n>e\nMBJX\n>f\nozu\n"
    table, rejects = _read(tmp_path, text, non_standard="unknown")
    assert not rejects
    assert list(table.sequences.values()) == ["MKV", "MKV", "MKV", "MV", "MXXX", "XXX"]
    assert table.notes == [
        "x.fasta: 3 records with lower-case letters, read as upper case (first at x.fasta:3).",
        "x.fasta: 2 records with blanks in the sequence, removed (first at x.fasta:5).",
        "x.fasta: 2 records with B, J, O, U or Z, 5 letters replaced by X (first at x.fasta:9).",
    ]


def test_repeats_merge_and_conflicts_reject_all_of_the_id(tmp_path: Path) -> None:
    text = ">a\nMKV\n>b\nAA\n>a\nmkv\n>b\nAA\n>b\nAC\n>b\nAA\n"
    table, rejects = _read(tmp_path, text)
    assert table.sequences == {"a": "MKV"}
    assert table.merged == 1
    assert [(r.line, r.id) for r in rejects] == [(3, "b"), (7, "b"), (9, "b"), (11, "b")]
    assert {r.reason for r in rejects} == {"the id stands for different sequences (lines 3, 7, 9, 11)"}
    assert table.rejected_lines == {"b": 3}


def test_a_path_is_only_a_name(tmp_path: Path) -> None:
    table, _ = _read(tmp_path, ">../../etc/passwd\nMKV\n>=1+1\nMKV\n")
    assert list(table.sequences) == ["../../etc/passwd", "=1+1"]


_RECORD = st.tuples(st.sampled_from("abc"), st.text("MKmkBX* 1", max_size=4))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_RECORD, min_size=1, max_size=12), st.sampled_from(["reject", "unknown"]))
def test_counts_add_up_and_only_clean_letters_remain(
    tmp_path: Path, records: list[tuple[str, str]], non_standard: str
) -> None:
    text = "".join(f">{name}\n{sequence}\n" for name, sequence in records)
    table, _ = _read(tmp_path, text, non_standard=non_standard)  # asserts read = kept + merged + rejected
    assert set("".join(table.sequences.values())) <= set("MK" if non_standard == "reject" else "MKX")


@pytest.mark.parametrize("text", ["MKVA*", "MKVA*\n", "MKVA\n*", "MKVA \n * \n"])
def test_one_star_at_the_very_end_is_taken_off_and_said(tmp_path: Path, text: str) -> None:
    table, rejects = _read(tmp_path, f">a\n{text}\n>b\nMKV\n")
    assert table.sequences == {"a": "MKVA", "b": "MKV"}
    assert rejects == []
    assert table.notes[-1:] == [
        "x.fasta: 1 records with * at the end, the mark of a stop, removed (first at x.fasta:1)."
    ]


@pytest.mark.parametrize("text", ["MK**", "*MK", "M*K*", "*", "MK*-"])
def test_other_stars_are_rejected(tmp_path: Path, text: str) -> None:
    table, rejects = _read(tmp_path, f">a\n{text}\n>b\nMKV\n")
    assert list(table.sequences) == ["b"]
    assert len(rejects) == 1


@pytest.mark.parametrize(("letters", "told"), [("ACGTN" * 30, True), ("ACGT" * 5, False), ("ACGTM" * 30, False)])
def test_nucleotides_are_told(tmp_path: Path, letters: str, told: bool) -> None:
    table, _ = _read(tmp_path, f">a\n{letters}\n", max_length=200)
    assert any("those of nucleotides" in note for note in table.notes) == told
