"""Every window of every protein has its row or its reason, equal ones are scored once, in any number of parts."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from hpc.errors import InputError
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.scores import Scores
from snw_dist.scoring.table.commit import Pieces
from snw_dist.scoring.table.product import MOST_PAIRS
from snw_dist.scoring.table.run import Accounting, Output, predict_table
from snw_dist.scoring.table.scan import scan_source
from snw_dist.scoring.table.sides import Side
from snw_dist.scoring.table.source import Source
from tests.kit.table_tools import COLUMNS, RULES, FakeScorer, score_of, sides

PROTEINS = {"one": "MKVLAWYHHT", "again": "MKVLAWYHHT", "bad": "mkvl awU1HT*", "short": "MK", "stop": "HHT*MKVL"}
CLEAN = {name: text.replace(" ", "").removesuffix("*").upper() for name, text in PROTEINS.items()}
RECEPTORS = {"x": "MKVW", "y": "GGA"}
LENGTHS = [3, 4]


class Scorer(FakeScorer):
    """Keeps which pairs it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def score_clean(self, ligands: Sequence[str], receptors: Sequence[str]) -> Scores:
        self.asked += zip(ligands, receptors, strict=True)
        return super().score_clean(ligands, receptors)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    for name, records in (("proteins", PROTEINS), ("receptors", RECEPTORS)):
        (tmp_path / f"{name}.fasta").write_text("".join(f">{key} of it\n{text}\n" for key, text in records.items()))
    return tmp_path / "proteins.fasta", tmp_path / "receptors.fasta"


def source(files: tuple[Path, Path], top: int | None = None, rows: int = 7, part_bytes: int = 40) -> Source:
    return scan_source(sides(), files, LENGTHS, top, rows, part_bytes)


def scanned(made: Source, to: Path, top: int | None = None, scorer: FakeScorer | None = None) -> Accounting:
    return predict_table(made, cast(PairScorer, scorer or Scorer()), COLUMNS, Output(to), top)


def expected() -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """(protein, position, length, ligand, receptor) of all rows with a score, and of the others."""
    good, bad = [], []
    for receptor in RECEPTORS:
        for name, text in CLEAN.items():
            for length in LENGTHS:
                for start in range(len(text) - length + 1):
                    window = text[start : start + length]
                    fits = set(window) <= set("ACDEFGHIKLMNPQRSTVWY")
                    (good if fits else bad).append((name, str(start + 1), str(length), window, receptor))
    return good, bad


def rows(to: Path) -> list[tuple[str, ...]]:
    with to.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert all(float(row["snw_score"]) == score_of(row["ligand"], RECEPTORS[row["receptor"]]) for row in found)
    return [tuple(row[key] for key in ("protein", "position", "length", "ligand", "receptor")) for row in found]


@pytest.mark.parametrize("part_bytes", [40, 10**6])
def test_every_place_has_its_row_in_order_and_each_window_is_scored_once(
    files: tuple[Path, Path], tmp_path: Path, part_bytes: int
) -> None:
    good, bad = expected()
    scorer = Scorer()
    done = scanned(source(files, part_bytes=part_bytes), tmp_path / "out.csv", scorer=scorer)
    assert done == (len(good) + len(bad), len(good), len(bad), 0)
    assert rows(tmp_path / "out.csv") == good
    assert len(scorer.asked) == len(set(scorer.asked)) == 2 * len({row[3] for row in good})


def test_bad_letters_are_listed_with_their_place(files: tuple[Path, Path], tmp_path: Path) -> None:
    scanned(source(files), tmp_path / "out.csv")
    with (tmp_path / "out.csv.rejects.csv").open(newline="") as file:
        refused = list(csv.DictReader(file))
    _, bad = expected()
    assert len({row["row"] for row in refused}) == len(bad)
    for name, position, _, window, _ in bad:
        assert any(f"'{window}'" in r["reason"] and f"'{name}', position {position})" in r["reason"] for r in refused)
    assert {row["line"] for row in refused} == {"5", "9"}  # of their headers
    assert {(row["id"], row["value"]) for row in refused} == {(name, window) for name, _, _, window, _ in bad}
    assert {row["file"] for row in refused} == {files[0].name}
    assert any("'T*'" not in row["reason"] and "'*' at column 3" in row["reason"] for row in refused)


@pytest.mark.parametrize("top", [1, 3])
def test_the_best_windows_of_each_receptor_at_all_of_their_places(
    files: tuple[Path, Path], tmp_path: Path, top: int
) -> None:
    good, bad = expected()
    done = scanned(source(files, top), tmp_path / "out.csv", top)
    best: list[tuple[str, ...]] = []
    for receptor, sequence in RECEPTORS.items():
        windows = sorted({row[3] for row in good}, key=lambda one: -score_of(one, sequence))[:top]
        best += [row for one in windows for row in good if row[3:] == (one, receptor)]
    assert rows(tmp_path / "out.csv") == best
    assert done == (len(good) + len(bad), len(best), len(bad), len(good) - len(best))


def test_the_survey_is_what_comes(files: tuple[Path, Path]) -> None:
    good, bad = expected()
    made = source(files)
    assert made.survey is not None
    survey = made.survey(lambda _: False)
    assert (survey.rows, survey.pairs) == (len(good) + len(bad), len(good))
    windows = {row[3] for row in good}
    assert survey.distinct.sequences == len(windows) + len(RECEPTORS)
    assert survey.distinct.residues == sum(map(len, windows | set(RECEPTORS.values())))


def test_notes_and_an_empty_scan(tmp_path: Path, files: tuple[Path, Path]) -> None:
    assert any("1 of 5 proteins are shorter than 4 residues, such as 'short'" in note for note in source(files).notes)
    files[0].write_text(">a\nMK\n")
    assert scanned(source(files), tmp_path / "out.csv") == (0, 0, 0, 0)
    assert (tmp_path / "out.csv").read_text() == "protein,position,length,ligand,receptor,snw_score\n"


def test_what_is_refused_before_anything_starts(files: tuple[Path, Path]) -> None:
    both = Side("ligand", RULES, longest=9), Side("receptor", RULES)
    with pytest.raises(InputError, match=r"^--scan 10: ligand: 10 residues, the networks take 9 at most\.$"):
        scan_source(both, files, [9, 10], None)
    files[1].write_text(">x\nMK1\n")
    with pytest.raises(InputError, match=r"^receptor 'MK1': '1' at column 3 is not an amino acid\. Mend or remove it"):
        source(files)
    files[1].write_text(">x\nMK\n")
    files[0].write_text(f">long\n{'A' * (MOST_PAIRS + 10)}\n")
    with pytest.raises(InputError, match=r"windows with 1 receptors are .* Give --top N"):
        source(files)
    files[0].write_text(">good\nMKV\n>\nMKV\n")
    with pytest.raises(InputError, match=r"proteins.fasta:3: the id is empty\. Put an id directly after"):
        source(files, 1)
    files[0].write_text(">p\nMKV\n>p\nmkv*\n>p\nMKVV\n")
    with pytest.raises(InputError, match=r"fasta:5: p: the id stands for different sequences \(lines 1 and 5\)"):
        source(files, 1)


def test_a_text_with_other_letters_keeps_its_places(files: tuple[Path, Path], tmp_path: Path) -> None:
    """One of these letters becomes two when it is written large."""
    files[0].write_text(">a\nMKVßMKV\n", encoding="utf-8")
    done = scanned(scan_source(sides(), (files[0], files[1]), [3], None), tmp_path / "out.csv")
    assert done == (10, 4, 6, 0)
    assert [row[1] for row in rows(tmp_path / "out.csv")] == ["1", "5", "1", "5"]


def test_to_a_stream(files: tuple[Path, Path]) -> None:
    stream = io.BytesIO()
    predict_table(source(files, 1), cast(PairScorer, Scorer()), COLUMNS, Output(None, stream), 1)
    assert stream.getvalue().startswith(b"protein,position,length,ligand,receptor,snw_score\n")


def test_a_killed_scan_goes_on(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned(source(files, 2), tmp_path / "clean.csv", 2)
    keep, kept = Pieces.commit, 0

    def stop(self: Pieces, number: int, piece: pa.Table) -> None:
        nonlocal kept
        kept += 1
        if kept == 12:
            raise KeyboardInterrupt
        keep(self, number, piece)

    with monkeypatch.context() as patched:
        patched.setattr(Pieces, "commit", stop)
        with pytest.raises(KeyboardInterrupt):
            scanned(source(files, 2), tmp_path / "out.csv", 2)
    all_of_it, rest = Scorer(), Scorer()
    scanned(source(files, 2), tmp_path / "out.csv", 2, rest)
    scanned(source(files, 2), tmp_path / "again.csv", 2, all_of_it)
    assert 0 < rest.num_scored < all_of_it.num_scored - 3
    for name in ("out.csv", "out.csv.rejects.csv"):
        assert (tmp_path / name).read_bytes() == (tmp_path / name.replace("out", "clean")).read_bytes()
