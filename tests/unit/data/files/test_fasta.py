"""Where FASTA records begin and end."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc.errors import InputError
from snw_dist.data.files.fasta import read_fasta


def _read(tmp_path: Path, text: str, **limits: int) -> list[tuple[int, str, str, str, bool]]:
    path = tmp_path / "x.fasta"
    path.write_text(text, encoding="utf-8", newline="")
    return [(r.line, r.id, r.description, r.text, r.overlong) for r in read_fasta(path, **limits)]


@pytest.mark.parametrize(
    ("text", "records"),
    [
        (">a\nMK\nV\n", [(1, "a", "", "MK\nV", False)]),
        (">a some words\nMK\n>b\tx\nV", [(1, "a", "some words", "MK", False), (3, "b", "x", "V", False)]),
        ("\n \n>a\nMK\n\nV\n\n", [(3, "a", "", "MK\n\nV\n", False)]),
        (">a\n>b\nV\n", [(1, "a", "", "", False), (2, "b", "", "V", False)]),
        (">\nMK\n> b\nV\n", [(1, "", "", "MK", False), (3, "", "b", "V", False)]),
        (">a\r\nMK\r\n", [(1, "a", "", "MK", False)]),
        ("\ufeff>a\nMK\n", [(1, "a", "", "MK", False)]),
        (">a\x0bb\nMK\n", [(1, "a\x0bb", "", "MK", False)]),
    ],
)
def test_records(tmp_path: Path, text: str, records: list[tuple[int, str, str, str, bool]]) -> None:
    assert _read(tmp_path, text) == records


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.fasta:1: the file is empty\. It must have at least one record"),
        ("\n\n", r"x\.fasta:1: the file is empty"),
        (
            "\nMKV\n>a\nMK\n",
            r"x\.fasta:2: text before the first header\. A FASTA file begins with a line like >id",
        ),
    ],
)
def test_not_fasta(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _read(tmp_path, text)
    assert caught.value.exit_code == 2


def test_long_record_is_cut_and_marked_and_the_next_one_is_whole(tmp_path: Path) -> None:
    records = _read(tmp_path, ">a\n" + "ACDEF\n" * 1000 + ">b\nMKV\n", max_record_chars=30)
    assert records == [(1, "a", "", "\n".join(["ACDEF"] * 5), True), (1002, "b", "", "MKV", False)]


_LINE = st.text(string.ascii_letters + " *-", max_size=8)
_RECORDS = st.lists(st.tuples(st.text(string.ascii_letters, min_size=1, max_size=5), st.lists(_LINE)), min_size=1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_RECORDS, st.sampled_from(["\n", "\r\n"]))
def test_what_is_written_is_read(tmp_path: Path, records: list[tuple[str, list[str]]], newline: str) -> None:
    text = "".join(newline.join([f">{name}", *lines, ""]) for name, lines in records)
    read = _read(tmp_path, text)
    assert [(r[1], r[3]) for r in read] == [(name, "\n".join(lines)) for name, lines in records]
    file_lines = text.split(newline)
    assert all(file_lines[r[0] - 1] == f">{r[1]}" for r in read)
