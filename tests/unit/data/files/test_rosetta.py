"""Reading score and silent files: what counts, and every kind of bad line with its place."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from hpc.errors import InputError
from snw_dist.data.files.pyrosetta import plain_tag
from snw_dist.data.files.rosetta import Decoy, is_rosetta, read_decoys
from tests.kit.rosetta_inputs import decoy_line, docking, names_line, score_file

SILENT = """\
SEQUENCE: GSHSMRYFFTSVSRPGRGEPRFIAVGY
SCORE:     score     fa_atr       I_sc description
REMARK BINARY SILENTFILE
SCORE:  -120.302   -210.114    -31.407 recA_pep1_0001
FOLD_TREE  EDGE 1 180 -1  EDGE 1 181 1  recA_pep1_0001
RT -0.1 0.2 0.3 0.4 0.5 0.6 0.7 0.8 0.9 1.0 1.1 1.2  recA_pep1_0001
ANNOTATED_SEQUENCE: G[GLY:NtermProteinFull]SHSMRYFF  recA_pep1_0001
CHAIN_ENDINGS 180 recA_pep1_0001
LezeTCj5dUCkvdOWvoEoTCj7p+C0yS0wPaUwSC7qnfDEJ69hvl31SCTm8CEU5OqfP2rFVCXrCNDkfuPwPu7 recA_pep1_0001
SCORE:  -118.001   -208.999    -29.001 recA_pep1_0002
E  1  -57.8  -47.0  180.0  recA_pep1_0002
"""


def _write(folder: Path, text: str, name: str = "score.sc") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def _read(folder: Path, text: str, name: str = "score.sc", term: str = "I_sc") -> list[Decoy]:
    return list(read_decoys(_write(folder, text, name), term))


@pytest.mark.parametrize("term", ["I_sc", "total_score", "reweighted_sc", "rama_prepro"])
def test_a_score_file(tmp_path: Path, term: str) -> None:
    decoys = docking(4, 3)
    read = _read(tmp_path, score_file(decoys), term=term)
    assert [(d.line, d.tag, float(d.score), d.problem) for d in read] == [
        (line, tag, scores[term], "") for line, (tag, scores) in enumerate(decoys.items(), start=3)
    ]


@pytest.mark.parametrize("name", ["out.silent", "default.out", "out.silent.gz"])
def test_a_silent_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(SILENT.encode()) if name.endswith("gz") else SILENT.encode())
    assert list(read_decoys(path, "I_sc")) == [
        Decoy(4, "recA_pep1_0001", "-31.407"),
        Decoy(10, "recA_pep1_0002", "-29.001"),
    ]


def test_concatenated_files_may_have_other_columns(tmp_path: Path) -> None:
    text = (
        score_file(docking(1, 1)) + names_line(["I_sc", "score"]) + decoy_line("b_1", {"I_sc": -4.5}, ["I_sc", "score"])
    )
    assert [decoy.score for decoy in _read(tmp_path, text)][1] == "-4.500"
    text += "SEQUENCE: \n" + names_line(["score"]) + decoy_line("b_2", {}, ["score"])
    last = _read(tmp_path, text)[-1]
    assert last == Decoy(8, "b_2", "", "the names at line 7 have no term 'I_sc'")


def test_the_tag_is_where_the_names_say(tmp_path: Path) -> None:
    text = "SCORE: score description user_tag I_sc\nSCORE: 1.0 a_1 x -2.5\n"
    assert _read(tmp_path, text) == [Decoy(2, "a_1", "-2.5")]


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        ("SCORE:   -1.000  a_1\n", "2 columns, the names at line 2 are 36"),
        ("SCORE:\n", "0 columns, the names at line 2 are 36"),
        ("SCOR", "not a SCORE line"),
        ("  -31.407 recA_pep1_0001\n", "not a SCORE line"),
    ],
)
def test_bad_lines_are_told_one_by_one(tmp_path: Path, spoiled: str, problem: str) -> None:
    good = score_file(docking(1, 2))
    read = _read(tmp_path, f"{good}{spoiled}\n{decoy_line('z_1', {'I_sc': -1})}")
    assert [decoy.problem for decoy in read] == ["", "", problem, ""]
    assert read[2].line == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            score_file(docking(1, 1)).replace("I_sc", "I_s"),
            r"score\.sc:2: no term 'I_sc'; the terms are: total_score, ",
        ),
        (score_file(docking(1, 1)).replace("I_sc", "I_s"), r"Set data\.scores\.term, perhaps to 'I_s'\."),
        (score_file(docking(1, 1)).replace("I_hb", "I_sc"), r"score\.sc:2: term 'I_sc' is there twice"),
        (decoy_line("a", {}) + names_line(), r"score\.sc:1: scores before any line of names"),
        (names_line(), r"score\.sc:1: no SCORE: lines of decoys"),
        ("", r"score\.sc:1: no SCORE: lines of decoys"),
        ('{"decoy":"a_1","total":-3.2}\n', r"score\.sc:1: no term 'I_sc'; the terms are: total\."),
        ("filename: a_1.pdb total: -3.2\n", r"score\.sc:1: no term 'I_sc'; the terms are: total\."),
        ("pdb name: dock nstruct: 3\n", r"score\.sc:1: no decoys"),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _read(tmp_path, text)


def test_the_ending_or_the_first_line_tells_a_rosetta_file(tmp_path: Path) -> None:
    names = ["a.sc", "a.fasc", "A.SC.gz", "a.silent", "default.out", "a.score", "a.sc.parquet"]
    assert [is_rosetta(Path(name)) for name in names] == [True] * 6 + [False]
    for name in ("scores.txt", "score.json", "scores", "scores.csv", "scores.tsv.gz"):
        for text, is_one in [
            (score_file(docking(1, 1)), True),
            ('{"decoy": "a"}\n', "sv" not in name),  # the name of a column may be anything
            ("a,b\n", False),
            ("", False),
        ]:
            (tmp_path / name).write_text(text)
            assert is_rosetta(tmp_path / name) == is_one, (name, text)


JSON_LINES = """{"pdb_name": "dock", "decoy": "output/recA_pep1_0001.pdb", "nstruct": 9, "I_sc": -23.5}

{"filename": "recA_pep1_0002.pdb.gz", "I_sc": "-14"}
{"decoy": "recA_pep1_0003", "total_score": 1}
{"decoy": "recA_pep1_0004", "I_sc": null}
{"decoy": "recA_pep1_0005", "I_sc": [1]}
{"decoy": "recA_pep1_0006", "I_sc": NaN}
{"I_sc": 1}
{"decoy": "recA_pep1_0007", "I_sc": 1, "I_sc": 2}
junk
"""


def test_json_lines_of_pyrosetta_and_rosetta(tmp_path: Path) -> None:
    read = _read(tmp_path, JSON_LINES)
    assert [(decoy.line, decoy.tag, decoy.score) for decoy in read[:2]] == [
        (1, "output/recA_pep1_0001.pdb", -23.5),
        (3, "recA_pep1_0002.pdb.gz", "-14"),
    ]
    assert [plain_tag(decoy.tag) for decoy in read[:2]] == ["recA_pep1_0001", "recA_pep1_0002"]
    assert [(decoy.line, decoy.problem) for decoy in read[2:]] == [
        (4, "the decoy has no term 'I_sc'"),
        (5, ""),  # an empty score and NaN, which the rules for rows refuse
        (6, "I_sc is no number"),
        (7, ""),
        (8, "the decoy has no name (decoy, filename, description)"),
        (9, "the key 'I_sc' comes twice"),
        (10, "not a decoy in JSON, nor a line filename: ..."),
    ]


def test_classic_lines_of_pyrosetta(tmp_path: Path) -> None:
    text = "pdb name: dock     nstruct: 96\nfilename: recA_pep1_0001.pdb I_sc: -211.99 rmsd: 1.2 \n"
    assert [(d.line, d.tag, d.score) for d in _read(tmp_path, text)] == [(2, "recA_pep1_0001.pdb", "-211.99")]


def test_memory_holds_one_line(tmp_path: Path) -> None:
    rows = read_decoys(_write(tmp_path, score_file(docking(1, 1)) + "junk"), "I_sc")
    assert next(rows).line == 3
    assert re.match("not a SCORE", next(rows).problem)
