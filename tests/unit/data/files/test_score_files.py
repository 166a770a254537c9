"""Score files as people have them: each is read rightly, or the message names the cause."""

from __future__ import annotations

import json
from typing import Any

import pytest

from snw_dist.data.prepared import load_prepared
from tests.kit.data_inputs import PAIRS, Inputs
from tests.kit.rosetta_inputs import score_file
from tests.kit.scored_inputs import RANDOM, outcome

DECOYS = {f"rec{r}_pep{i}_{k:04d}": -10 - i - k / 10 for r in "AB" for i in range(1, 5) for k in (1, 2)}
SCORE_LINES = score_file({tag: {"I_sc": score} for tag, score in DECOYS.items()})


def lines(make: Any) -> str:
    return "".join(f"{text if isinstance(text := make(t, s), str) else json.dumps(text)}\n" for t, s in DECOYS.items())


SILENT = SCORE_LINES.replace("\nSCORE:", "\nREMARK BINARY SILENTFILE\nANNOTATED_SEQUENCE: M\nL000\nSCORE:", 2)
BOTH = {"decoy": "recA_pep1_0001", "I_sc": -1}
SCORE_FILES: dict[str, tuple[str, str, str]] = {
    "decoy": (lines(lambda t, s: {"pdb_name": "d", "decoy": t, "nstruct": 9, "I_sc": s}), "a.fasc", "read 8"),
    "filename": (lines(lambda t, s: {"filename": f"out/{t}.pdb", "I_sc": s}), "a.fasc", "read 8"),
    "both": (lines(lambda t, s: {"filename": f"{t}.pdb.gz", "decoy": t, "I_sc": s}), "score.json", "read 8"),
    "score in quotes": (lines(lambda t, s: {"decoy": t, "I_sc": str(s)}), "a.fasc", "read 8"),
    "NaN elsewhere": (lines(lambda t, s: {"decoy": t, "I_sc": s, "rms": float("nan")}), "a.fasc", "read 8"),
    "NaN": (lines(lambda t, s: {"decoy": t, "I_sc": float("nan")}), "a.fasc", "a.fasc:1: pep1/recA: the score nan is"),
    "pdb_name alone": (lines(lambda t, s: {"pdb_name": t, "I_sc": s}), "a.fasc", "no name (decoy, filename, descript"),
    "repr of Python": (lines(lambda t, s: str({"decoy": t, "I_sc": s})), "a.fasc", "text stands in double quotes"),
    "cut": (lines(lambda t, s: {"decoy": t, "I_sc": s})[:-9], "a.fasc", "a.fasc:16: not valid JSON: it ends too early"),
    "key twice": ('{"decoy":"a_b_1","I_sc":1,"I_sc":2}\n', "a.fasc", "a.fasc:1: the key 'I_sc' comes twice. Corr"),
    "list": (json.dumps([BOTH]), "score.json", "score.json:1: one JSON value for all decoys"),
    "list of lines": (json.dumps([BOTH], indent=1), "a.fasc", "a.fasc:1: one JSON value for all decoys"),
    "object of objects": (json.dumps({"a": BOTH}), "score.json", "score.json:1: one JSON value for all decoys"),
    "indented": (json.dumps({"a": BOTH}, indent=1), "score.json", "score.json:1: one JSON value for all decoys"),
    "classic": (lines(lambda t, s: f"filename: {t}.pdb I_sc: {s} rms: 1.0 "), "a.fasc", "read 8"),
    "classic with a blank": (lines(lambda t, s: f"filename: my out/{t}.pdb I_sc: {s}"), "a.fasc", "read 8"),
    "classic twice": (lines(lambda t, s: f"filename: {t} I_sc: 1 I_sc: {s}"), "a.fasc", "term 'I_sc' is there twice"),
    "classic without": (lines(lambda t, s: f"filename: {t} tot: I_sc: "), "a.fasc", "the score is empty"),
    "called csv": (SCORE_LINES, "a.csv", "read 8"),
    "called dat": (SCORE_LINES, "a.dat", "read 8"),
    "called txt": (SCORE_LINES.split("\n", 1)[1], "a.txt", "read 8"),
    "silent called txt": (SILENT, "a.txt", "read 8"),
    "silent called out": (SILENT, "default.out", "read 8"),
    "of grep": (SCORE_LINES.replace("SCORE:", "a.sc:SCORE:"), "a.sc", "It begins with 'SEQUENCE:'."),
    "in lower case": (SCORE_LINES.lower(), "a.sc", "no SCORE: lines of decoys. Is it a Rosetta score or silent file?"),
    "glued lines": (SCORE_LINES.replace("_0001\nSCORE:", "_0001SCORE:", 1), "a.sc", "a.sc:3: "),
    "a table": (PAIRS, "a.txt", "nor begin with SCORE:, SEQUENCE: or an object in JSON"),
}


@pytest.mark.parametrize("kind", SCORE_FILES)
def test_score_files(inputs: Inputs, kind: str) -> None:
    text, name, said = SCORE_FILES[kind]
    scores = {"term": "I_sc", "description": r"(?P<receptor>[^_]+)_(?P<ligand>[^_]+)_\d+"}
    config = inputs(pairs=text, names=("l.fasta", "r.fasta", name), scores=scores, split=RANDOM)
    assert said in outcome(config)
    if said == "read 8":
        table = load_prepared(config.data_folder).scores
        assert table is not None
        assert sorted(table["score"]) == sorted(min(-10.1, -10.2) - i for i in range(1, 5) for _ in "AB")


@pytest.mark.timeout(20)
def test_a_long_tag_takes_no_long_time(inputs: Inputs) -> None:
    tag = "a_" * 100_000
    scores = {"term": "I_sc", "description": r"(?P<receptor>.+)_(?P<ligand>.+)_\d+"}
    pairs = f"SCORE: I_sc description\nSCORE: 1 {tag}\nSCORE: {'1' * 1_000_000}x recA_pep1_1\n"
    config = inputs(pairs=pairs, names=("l.fasta", "r.fasta", "a.sc"), scores=scores, split=RANDOM)
    said = outcome(config)
    assert "a.sc:2: the description 'a_a_" in said
    assert "a.sc:3: pep1/recA: the score '111" in said
