"""`launch/predict.py` as a user types it: tables, pairs and streams in, and every row comes out or is named."""

from __future__ import annotations

import csv
import io
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from hpc.errors import InputError
from hpc.told import show_told
from launch import predict
from snw_dist import PairScorer
from snw_dist.bundle.background import PERCENT, drawn
from snw_dist.bundle.format import BundleFile
from tests.kit.bundle_tools import bundled, compared_runs, measured_run
from tests.kit.percentile_tools import with_few_peptides
from tests.kit.tiny import launched

LIGAND, RECEPTOR = "SIINFEKL", "MKVLAWYHHTEL"
TRUST = [
    *(f"snw_probability_{end}" for end in ("low", "high")),
    *(f"snw_nearest_{side}{what}" for side in ("ligand", "receptor") for what in ("", "_identity")),
    "snw_abstain",
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    return bundled(measured_run(folder), folder / "das Bündel")


@pytest.fixture(autouse=True)
def told() -> Iterator[None]:
    """As `main` does it: what the command tells is printed."""
    log = logging.getLogger("hpc.told")
    handlers, level, propagate = log.handlers[:], log.level, log.propagate
    show_told()
    yield
    log.handlers[:], log.propagate = handlers, propagate
    log.setLevel(level)


def rows(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def called(bundle: Path, *arguments: str, stdin: str = "") -> Any:
    """The command within this process: it exits with the code of its error."""
    return CliRunner().invoke(predict.app, ["--bundle", str(bundle), *arguments], input=stdin)


def test_a_table_of_ids_alone_says_where_their_sequences_are_given(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("ligand,receptor\npep_1,rec_1\npep_2,rec_1\n")
    said = called(bundle, str(tmp_path / "pairs.csv"), "--to", str(tmp_path / "out.csv")).exception
    assert str(said).startswith("2 of 2 rows were rejected. They are listed in ")
    assert "If the table has ids, not sequences, give --ligands FASTA --receptors FASTA." in str(said)


def test_a_table_in_a_process_of_its_own(bundle: Path, tmp_path: Path) -> None:
    scorer = PairScorer.load(bundle)
    expected = scorer.score([LIGAND, "ACDEF"], RECEPTOR)
    (tmp_path / "pairs.tsv").write_text(
        f"n\tligand\treceptor\n1\t{LIGAND}\t{RECEPTOR}\n2\tA1\tMKV\n3\tacdef\t{RECEPTOR}\n"
    )
    done = launched(tmp_path, "predict", "--bundle", str(bundle), "pairs.tsv", "--to", "out.tsv", "--verbose")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: 1 of 3 rows were rejected, and the others are written.")
    for line in (
        "Loading: verify ",
        "3 rows, 1 cannot be scored; 2 pairs of 3 distinct ",
        "Rows: 3 read, 2 written, 1 rejected",
    ):
        assert line in done.stdout
    found = rows((tmp_path / "out.tsv").read_text(), "\t")
    assert [row["n"] for row in found] == ["1", "3"]
    assert [float(row["snw_score"]) for row in found] == expected.score.tolist()
    assert [float(row["snw_probability"]) for row in found] == expected.probability.tolist()
    (tmp_path / "bad.csv").write_text((tmp_path / "out.tsv.rejects.csv").read_text())
    assert [row["row"] for row in rows((tmp_path / "bad.csv").read_text())] == ["2"]


def test_standard_input_and_output(bundle: Path, tmp_path: Path) -> None:
    done = called(bundle, "-", "--on-invalid", "skip", stdin=f"{LIGAND}\t{RECEPTOR}\tx\nA1\t{RECEPTOR}\ty\n")
    assert done.exit_code == 0, done.output
    [row] = rows(done.stdout, "\t")
    assert list(row) == ["ligand", "receptor", "column_3", "snw_score", "snw_probability", *TRUST]
    assert row["snw_abstain"] == "ligand outside training; receptor outside training"
    assert done.stderr.count("is farther from those of training") == 1
    assert "rejected: row 2 (line 2): ligand 'A1'" in done.stderr


def test_an_empty_input_gives_the_header_and_is_told(bundle: Path, tmp_path: Path) -> None:
    done = called(bundle, "-")
    assert done.stdout == f"{','.join(['ligand', 'receptor', 'snw_score', 'snw_probability', *TRUST])}\n"
    assert "standard_input.csv: it is empty, without even a line of names." in done.stderr
    (tmp_path / "pairs.csv").write_text("ligand,receptor\n")
    assert "empty" not in called(bundle, str(tmp_path / "pairs.csv")).stderr


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_named_pipe_is_read(bundle: Path, tmp_path: Path, ending: str) -> None:
    """As bash makes one of <(...)."""
    frame = pd.DataFrame({"ligand": [LIGAND], "receptor": [RECEPTOR]})
    getattr(frame, f"to_{ending}")(tmp_path / "pairs", index=False)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes((tmp_path / "pairs").read_bytes()))
    writer.start()
    done = called(bundle, str(tmp_path / "pipe"))
    writer.join()
    assert done.exit_code == 0, done.output
    assert [row["ligand"] for row in rows(done.stdout)] == [LIGAND]


def test_all_pairs_and_the_best(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "l.fasta").write_text(">a\nACDEF\n>b\nGHIKL\n>c\nMNPQR\n")
    (tmp_path / "r.fasta").write_text(f">HLA-A*02:01\n{RECEPTOR}\n>other\nGSHSMRYFFTSV\n")
    files = ("--ligands", str(tmp_path / "l.fasta"), "--receptors", str(tmp_path / "r.fasta"))
    assert "add --all-pairs" in str(called(bundle, *files).exception)
    everything = rows(called(bundle, *files, "--all-pairs").stdout)
    assert len(everything) == 6
    done = rows(called(bundle, *files, "--all-pairs", "--top", "1").stdout)
    best = [
        max((r for r in everything if r["receptor"] == name), key=lambda r: float(r["snw_score"]))
        for name in ("HLA-A*02:01", "other")
    ]
    assert done == best
    one = rows(called(bundle, "--ligand", "GHIKL", "--receptor", f"{tmp_path / 'r.fasta'}:HLA-A*02:01").stdout)
    assert one[0] | {"ligand": "b"} == everything[1]


def test_windows_of_proteins(bundle: Path, tmp_path: Path) -> None:
    protein = "MKVLAWYHHTELSIINFEKL"
    (tmp_path / "l.fasta").write_text(f">P1 whole\n{protein}\n>P2 the same again\nAA{protein}\n")
    arguments = ("--scan", "9,8", "--ligands", str(tmp_path / "l.fasta"), "--receptor", RECEPTOR, "--top", "2")
    found = rows(called(bundle, *arguments).stdout)
    assert list(found[0])[:6] == ["protein", "position", "length", "ligand", "receptor", "snw_score"]
    places = [(row["protein"], int(row["position"])) for row in found]
    assert [(one[0], one[1] - 2 * (one[0] == "P2")) for one in places] == [
        (name, at) for _, at in places[::2] for name in ("P1", "P2")
    ]
    windows = [protein[at : at + length] for length in (8, 9) for at in range(len(protein) - length + 1)]
    windows += [("AA" + protein)[at : at + length] for length in (8, 9) for at in (0, 1)]
    scores = PairScorer.load(bundle).score(windows, RECEPTOR).score
    best = sorted(zip(scores.tolist(), windows, strict=True), reverse=True)[:2]
    assert [(float(row["snw_score"]), row["ligand"]) for row in found[::2]] == best


def test_ids_with_their_files(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "l.fasta").write_text(">a\nACDEF\n")
    (tmp_path / "pairs.csv").write_text(f"ligand_id,receptor\na,{RECEPTOR}\nb,{RECEPTOR}\n")
    done = called(bundle, str(tmp_path / "pairs.csv"), "--ligands", str(tmp_path / "l.fasta"), "--on-invalid", "skip")
    assert [row["ligand_id"] for row in rows(done.stdout)] == ["a"]
    assert "ligand id 'b' is not in l.fasta" in done.stderr


def test_percentiles(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    few = with_few_peptides(Path(shutil.copytree(bundle, tmp_path / "bundle")))
    pair = ("--ligand", "GILGFVF", "--receptor", RECEPTOR)
    [row] = rows(called(few, *pair, "--percentile").stdout)
    table = pd.DataFrame({"ligand": ["GILGFVF"], "receptor": [RECEPTOR]})
    assert [float(row["snw_percentile"])] == PairScorer.load(few).score_table(table, percentile=True)[
        "snw_percentile"
    ].tolist()
    (tmp_path / "proteome.fasta").write_text(">p\n" + "".join(drawn(PERCENT, 3, 1, 1200)))
    done = called(few, *pair, "--background", str(tmp_path / "proteome.fasta"))
    assert "up to 1,000 windows of the proteins of proteome.fasta" in done.stderr
    [other] = rows(done.stdout)
    assert (other["snw_score"], other["snw_percentile"] != row["snw_percentile"]) == (row["snw_score"], True)


def test_members_and_the_predicted_value(tmp_path: Path) -> None:
    scores = {"term": "other", "transform": "minmax"}
    data = {"split": {"method": "random", "clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2}}
    config = compared_runs(tmp_path, ["siamese"], [1, 2], data=data | {"scores": scores})
    bundle = bundled(config, tmp_path / "bundle", "all")
    done = called(bundle, "--ligand", LIGAND, "--receptor", RECEPTOR, "--members")
    [row] = rows(done.stdout)
    says: BundleFile = PairScorer.load(bundle).bundle.says
    names = [f"snw_score_{name}" for name in says.members]
    assert list(row)[2:] == ["snw_score", "snw_probability", "snw_predicted_value", *TRUST, *names]
    curve = PairScorer.load(bundle).bundle.read_json("label_transform.json")["overall"]
    label = sum(float(row[name]) for name in names) / 2
    assert float(row["snw_predicted_value"]) == pytest.approx(curve["worst"] - label * (curve["worst"] - curve["best"]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no pairs: give a table"),
        (("none.csv",), "none.csv: no such file"),
        (("-", "--to", "out.xlsx"), "let the name end in .csv, .tsv or .parquet"),
        (("-", "--to", "{folder}"), "let the name end in"),
        (("-", "--to", "{bundle}/members/x.csv"), "lies in the bundle"),
        (("{folder}",), "not a regular file"),
        (("{table}", "--to", "{table}"), "is an input"),
        (("{table}", "--all-pairs"), "a table has its own pairs"),
        (("{table}", "--ligand", "AA", "--ligands", "{table}"), "--ligands and --ligand: give one of them"),
        (("{table}", "--on-invalid", "no"), "give error or skip"),
        (("{table}", "--device", "tpu"), "give auto, cpu or cuda"),
        (("--scan", "8", "{table}", "--receptor", "AA"), "--scan: give the proteins with --ligands"),
        (("--scan", "8-11", "--ligands", "{table}", "--receptor", "AA"), "--scan 8-11: give lengths of windows"),
        (("{table}", "--background", "none.fasta"), "--background none.fasta: no such file"),
        (("{table}", "--top", "0"), "give a number from 1 on"),
        (("{table}", "--part", "3/8"), "--part 3/8: give a table that is a file, and the output with --to"),
        (("-", "--to", "out.csv", "--part", "3/8"), "--part 3/8: give a table that is a file"),
        (("{table}", "--to", "out.csv", "--part", "3"), "--part 3: give which part and of how many"),
        (("{table}", "--to", "out.csv", "--part", "1/2", "--top", "3"), "--top needs the rows of all parts"),
        (("{scored}",), "has a column snw_score already"),
        (("{table}", "--ligand", "M1"), "--ligand M1: ligand 'M1'"),
    ],
)
def test_what_is_refused(bundle: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    (tmp_path / "pairs.csv").write_text(f"ligand,receptor\n{LIGAND},{RECEPTOR}\n")
    (tmp_path / "scored.csv").write_text(f"ligand,receptor,snw_score\n{LIGAND},{RECEPTOR},1\n")
    places = {"bundle": bundle, "folder": tmp_path, "table": tmp_path / "pairs.csv", "scored": tmp_path / "scored.csv"}
    done = called(bundle, *(argument.format(**places) for argument in arguments))
    assert isinstance(done.exception, InputError)
    assert said in str(done.exception)
    assert len(str(done.exception).splitlines()) == 1
