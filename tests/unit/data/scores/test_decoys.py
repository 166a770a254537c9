"""Decoys in score files and tables through the whole of `prepare`: what is refused, and what counts once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snw_dist.data.prepare import prepare
from tests.kit.data_inputs import PAIRS, Inputs
from tests.kit.rosetta_inputs import decoy_line, score_file
from tests.kit.scored_inputs import DECOYS, DESCRIPTION, FASTA, RANDOM, Scored, error_of, prepared_of


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: text + "SCORE: 1 2 3\n", r"score\.sc:1003: 3 columns, the names at line 2 are 36\. Correct or"),
        (lambda text: text + "junk\n", r"score\.sc:1003: not a SCORE line\. Correct or remove the line\."),
        (
            lambda text: text.replace("rec0_pep0_0001", "rec0-pep0"),
            r"score\.sc:3: the description 'rec0-pep0' does not match",
        ),
        (
            lambda text: text.replace("rec0_pep0_0001", "rec77_pep0_0001"),
            r"score\.sc:3: .*receptor id 'rec77' is not in",
        ),
        (
            lambda text: text + decoy_line("rec0_pep0_0001", {"I_sc": 5}),
            r"score\.sc:3: pep0/rec0: repeated decoy: score -?[\d.]+ here, 5\.0 at line 1003\. Give each run a name",
        ),
        (
            lambda text: text + decoy_line("rec0_pep0_0001", {"I_sc": 5}),
            r"score\.sc:1003: pep0/rec0: repeated decoy: score 5",
        ),
        (
            lambda text: text.replace(f"{DECOYS['rec0_pep0_0001']['I_sc']:12.3f}", "         nan"),
            r":3: .*score 'nan' is not f",
        ),
        (
            lambda text: text.replace(f"{DECOYS['rec0_pep0_0001']['I_sc']:12.3f}", "         low"),
            r":3: .*'low' is not a num",
        ),
    ],
)
def test_bad_lines(scored: Scored, spoil: Callable[[str], str], message: str) -> None:
    text = spoil(score_file(DECOYS))
    error = error_of(scored(text))
    assert re.search(message, error), error
    summary = prepare(scored(text, on_invalid="skip"))
    assert summary.counts["pairs"].rejected in (1, 2)
    assert summary.counts["pairs"].kept == 100


def test_a_decoy_given_twice_counts_once(scored: Scored) -> None:
    text = score_file(DECOYS)
    summary = prepare(scored(text + text))
    assert (summary.counts["pairs"].merged, summary.counts["pairs"].kept) == (1900, 100)
    assert "score.sc: 1,000 repeated decoys (same name, same score) counted once." in summary.notes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"scores": {"term": "I_sc"}},
            r"a Rosetta file needs data\.scores\.term, such as I_sc, and data\.scores\.desc",
        ),
        ({"scores": {}}, r"a Rosetta file needs data\.scores\.term"),
        ({"split": {}}, r'a Rosetta file has no splits\. Have one made: data\.split\.method = "ligand_cold"'),
        ({"columns": {"binary": "b"}}, r"a Rosetta file has no such column\. Set data\.columns\.binary to null"),
    ],
)
def test_what_a_score_file_cannot_have(inputs: Inputs, data: dict[str, Any], message: str) -> None:
    settings = {"split": RANDOM, "scores": {"term": "I_sc", "description": DESCRIPTION}} | data
    config = inputs(**FASTA, pairs=score_file(DECOYS), names=("l.fasta", "r.fasta", "a.sc"), **settings)
    assert re.search(message, error_of(config))


def test_a_description_for_a_table(inputs: Inputs) -> None:
    config = inputs(scores={"term": "label", "description": DESCRIPTION})
    assert (
        "data.scores.description is for a Rosetta file as data.pairs, and this is none: it does not end in .sc, "
        in error_of(config)
    )


def test_a_missing_term_names_those_there_are(scored: Scored, inputs: Inputs) -> None:
    assert re.search(r"score\.sc:2: no term 'dG'; the terms are: total_score, ", error_of(scored(term="dG")))
    assert "no column 'I_sc'; the columns are: ligand_id" in error_of(inputs(scores={"term": "I_sc"}))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("pep1,recB,none.sc,train", "the score file 'none.sc' is not there. Correct the file or remove the row."),
        ("pep1,recB,,train", "the name of the score file is empty."),
        (
            "pep1,recB,pairs.csv,train",
            "the score file 'pairs.csv' is no Rosetta file: it does not end in .sc, .fasc, .score, .silent, .out, ",
        ),
        ("pep1,recB,a.sc,train", "the score file 'a.sc' is also named at line 2."),
        ("pep1,recB,empty.sc,train", "empty.sc:1: no SCORE: lines of decoys."),
    ],
)
def test_bad_score_files_of_a_table(inputs: Inputs, tmp_path: Path, row: str, reason: str) -> None:
    header, *good = PAIRS.replace("label", "file").splitlines()
    names = dict(zip("abcd", (0.9, 0.1, 0.7, 0.2), strict=True))
    for name, label in names.items():
        (tmp_path / f"{name}.sc").write_text(score_file({"S_1": {"I_sc": -label}, "S_2": {"I_sc": 3 - label}}))
    (tmp_path / "empty.sc").touch()
    rows = [re.sub(r"0\.\d", f"{name}.sc", line) for name, line in zip(names, good, strict=True)]
    settings: dict[str, Any] = {"scores": {"term": "I_sc"}, "columns": {"score_file": "file"}}
    error = error_of(inputs(pairs="\n".join([header, *rows, row]), **settings))
    assert f"pairs.csv:6: {reason}" in error
    config = inputs(pairs="\n".join([header, *rows, row]), on_invalid="skip", **settings)
    data = prepared_of(config)
    assert data.scores is not None
    assert data.scores["score"].tolist() == [-0.9, -0.1, -0.7, -0.2]
    assert data.pairs["split"].tolist() == ["train", "train", "val", "test"]
    assert reason[:20] in (config.data_folder / "rejects.csv").read_text()


def test_a_bad_line_of_a_named_file_is_told_there(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "x.sc").write_text(score_file({"S_1": {"I_sc": -1}}) + "junk\n")
    pairs = "ligand_id,receptor_id,file\npep1,recA,x.sc\n"
    settings: dict[str, Any] = {"scores": {"term": "I_sc"}, "columns": {"score_file": "file"}, "split": RANDOM}
    assert f"{tmp_path}/x.sc:4: not a SCORE line. Correct or remove the line." in error_of(
        inputs(pairs=pairs, **settings)
    )


def test_a_name_is_that_of_a_decoy_of_its_pair(inputs: Inputs) -> None:
    """Every run calls its first decoy S_1; only within a pair is it there twice."""
    rows = [f"pep{i},rec{r},{-i * s},S_{s}\n" for i, r in ((1, "A"), (2, "A"), (3, "B"), (4, "B")) for s in (1, 2)]
    pairs = "ligand_id,receptor_id,score,tag\n" + "".join(rows)
    settings: dict[str, Any] = {"scores": {"term": "score"}, "columns": {"decoy": "tag"}, "split": RANDOM}
    message = error_of(inputs(pairs=f"{pairs}pep1,recA,-7,S_1\npep1,recA,-7,\n", **settings))
    assert "pairs.csv:10: pep1/recA: repeated decoy: score -7.0 here, -1.0 at line 2. Give each run a name" in message
    assert "pairs.csv:11: pep1/recA: the name of the decoy is empty. Correct the cell" in message
    data = prepared_of(inputs(pairs=pairs, **settings))
    assert data.scores is not None
    assert data.scores["score"].tolist() == [-2, -4, -6, -8]


def test_decoys_of_a_pair_agree_on_their_split(inputs: Inputs) -> None:
    pairs = PAIRS + "pep1,recA,-5,test\n"
    message = error_of(inputs(pairs=pairs, scores={"term": "label"}))
    assert re.search(r"pairs\.csv:6: pep1/recA: contradictory pair: split test here, train at line 2\. Keep", message)
