"""Sequences in the pair table itself, in place of ids: what comes out is what FASTA files would give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepare import check_inputs, prepare
from snw_dist.data.prepared import load_prepared
from snw_dist.data.records.in_table import made_id
from tests.kit.data_inputs import PAIRS, RECEPTORS, Inputs

BOTH = {"ligand_sequence": "peptide", "receptor_sequence": "mhc"}
HEADER = "peptide,mhc,label,split\n"
LONG = ["MKTAYIAKQR" * 6, "GSHMLEDPVD" * 6]
ROWS = [
    ("MKVA", LONG[0], 0.9, "train"),
    ("ACDEFG", LONG[0], 0.1, "train"),
    ("GGHH", LONG[1], 0.7, "val"),
    ("WWYY", LONG[1], 0.2, "test"),
]


def csv(rows: list[tuple[Any, ...]], header: str = HEADER) -> str:
    return header + "".join(",".join(map(str, row)) + "\n" for row in rows)


def settings(folder: Path, text: str, columns: dict[str, Any], **data: Any) -> SnwConfig:
    """Of a table alone: no FASTA file is there."""
    (folder / "pairs.csv").write_text(text)
    names = {"ligands": "no.fasta", "receptors": "no.fasta", "pairs": "pairs.csv"}
    files = {table: str(folder / name) for table, name in names.items()}
    return config_from_dict({"run": {"folder": str(folder / "runs")}, "data": {**files, "columns": columns, **data}})


def refused(config: SnwConfig) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config)
    return str(caught.value)


def test_the_same_bytes_as_from_fasta_files(tmp_path: Path, inputs: Inputs) -> None:
    config = settings(tmp_path, csv([*ROWS, ROWS[0]]), BOTH)
    summary = prepare(config)
    counts = {table: (count.read, count.kept, count.merged) for table, count in summary.counts.items()}
    assert counts == {"ligands": (4, 4, 0), "receptors": (2, 2, 0), "pairs": (5, 4, 1)}
    fasta = [
        "".join(f">{made_id(one)}\n{one}\n" for one in dict.fromkeys(row[side] for row in ROWS)) for side in (0, 1)
    ]
    pairs = csv([(one, made_id(other), *rest) for one, other, *rest in ROWS], PAIRS.split("\n")[0] + "\n")
    (tmp_path / "f").mkdir()
    other = inputs(
        *fasta,
        pairs,
        names=("f/ligands.fasta", "f/receptors.fasta", "f/pairs.csv"),
        folder=str(tmp_path / "f" / "data"),
    )
    prepare(other)
    for name in ("sequences.parquet", "pairs.parquet", "dropped.parquet", "rejects.csv"):
        assert (config.data_folder / name).read_bytes() == (other.data_folder / name).read_bytes(), name


def test_a_side_of_a_fasta_file_beside_one_of_the_table(tmp_path: Path) -> None:
    (tmp_path / "mhc.fasta").write_text(RECEPTORS)
    rows = [(one, "recA" if n < 2 else "recB", *rest) for n, (one, _, *rest) in enumerate(ROWS)]
    columns = {"ligand_sequence": "peptide", "receptor": "mhc"}
    config = settings(tmp_path, csv(rows), columns, receptors=str(tmp_path / "mhc.fasta"))
    prepare(config)
    prepared = load_prepared(config.data_folder)
    assert prepared.pairs["receptor_id"].tolist() == ["recA", "recA", "recB", "recB"]
    assert prepared.ligands == {row[0]: row[0] for row in ROWS}
    assert prepared.receptors == {"recA": "MKTAYIAKQR", "recB": "GSHMLEDPVD"}
    rows[1] = ("ACDEFG", "recC", 0.1, "train")
    assert "pairs.csv:3: ACDEFG/recC: receptor id 'recC' is not in data.receptors" in refused(
        settings(tmp_path, csv(rows), columns, receptors=str(tmp_path / "mhc.fasta"))
    )
    whole = settings(tmp_path, csv(rows), {"ligand_sequence": "peptide"})
    assert "no.fasta: no such file" in (told := refused(whole))
    assert "name their column: data.columns.receptor_sequence" in told


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("MKV1", f"MKV1/{made_id(LONG[0])}: ligand sequence 'MKV1': '1' at column 4 is not an amino acid. Remove"),
        ("MK-VA", "'-' at column 3 is not an amino acid"),
        ("MK*VA", "It marks a stop: one alone may stand at the very end"),
        ("MKVX", "'X' at column 4 is not one of the 20 standard amino acids. Remove the record, or set data.non"),
        ("", f"/{made_id(LONG[0])}: the ligand sequence is missing. Fill it in"),
        ("NA", f"NA/{made_id(LONG[0])}: the ligand sequence is missing (NA)"),
        ("*", "the sequence is empty"),
        ("MKVA" * 16, "64 residues, the most allowed is 60"),
    ],
)
def test_a_sequence_that_cannot_be_used_rejects_its_row(tmp_path: Path, cell: str, told: str) -> None:
    text = csv([*ROWS, (cell, LONG[0], 0.5, "train")])
    message = refused(settings(tmp_path, text, BOTH, max_length=60))
    assert message.startswith(f"{tmp_path / 'pairs.csv'}:6: ")
    assert told in message
    config = settings(tmp_path, text, BOTH, on_invalid="skip", max_length=60)
    count = prepare(config).counts["pairs"]
    assert (count.read, count.kept, count.rejected) == (5, 4, 1)
    assert cell not in load_prepared(config.data_folder).ligands


def test_what_is_read_otherwise_is_said_with_its_line(tmp_path: Path) -> None:
    rows = [("mk va*", *ROWS[0][1:]), *ROWS[1:]]
    config = settings(tmp_path, csv(rows), BOTH)
    notes = prepare(config).notes
    assert load_prepared(config.data_folder).pairs["ligand_id"][0] == "MKVA"
    for what in ("with lower-case letters", "with blanks in the sequence", "with * at the end"):
        assert any(f"1 sequences in peptide {what}" in note and "pairs.csv:2" in note for note in notes), what
    assert "pairs.csv: 4 ligands are the sequences in peptide; their ids are made from them." in notes


def test_ids_of_the_table(tmp_path: Path) -> None:
    header = "peptide,allele,mhc,label,split\n"
    named = [(one, ("A*02:01", "B 7")[n // 2], other, *rest) for n, (one, other, *rest) in enumerate(ROWS)]
    columns = {**BOTH, "receptor": "allele"}
    config = settings(tmp_path, csv(named, header), columns)
    prepare(config)
    assert load_prepared(config.data_folder).receptors == {"A*02:01": LONG[0], "B 7": LONG[1]}
    one = [(row[0], "A*02:01", *row[2:]) for row in named]
    told = refused(settings(tmp_path, csv(one, header), columns, on_invalid="skip"))
    assert "the receptor id stands for different sequences (lines 2 and 4). Keep one, or set" in told
    prepare(settings(tmp_path, csv(one, header), {**BOTH, "receptor": None}))
    empty = [(row[0], "", *row[2:]) if n == 1 else row for n, row in enumerate(named)]
    assert "pairs.csv:3: ACDEFG/: receptor: the id is empty. Fill it in" in refused(
        settings(tmp_path, csv(empty, header), columns)
    )
    told = refused(settings(tmp_path, csv(named, header), {**BOTH, "receptor": "alele"}))
    assert "Set data.columns.receptor, perhaps 'allele', or take that setting out (null): ids are then made" in told
    told = refused(settings(tmp_path, csv(named, header), {**BOTH, "receptor_sequence": "mch"}))
    assert "no column 'mch'" in told
    # under the default name a column of ids is taken where there is one
    prepare(config := settings(tmp_path, csv(named, header.replace("allele", "receptor_id")), BOTH))
    assert list(load_prepared(config.data_folder).receptors) == ["A*02:01", "B 7"]


def test_pairs_without_sides(tmp_path: Path) -> None:
    rows = [(LONG[0], "MKVA", 1, "train"), ("MKVA", LONG[0], 1, "train"), (LONG[0], LONG[1], 0, "train")]
    rows += [("WWYY", "GGHH", 1, "val"), ("WWYY", "ACDE", 0, "test")]
    config = settings(tmp_path, csv(rows), BOTH, symmetric=True, split={"clusters": "identical"})
    count = prepare(config).counts
    assert (count["ligands"].kept, count["receptors"].kept) == (6, 0)
    assert (count["pairs"].kept, count["pairs"].merged) == (4, 1)
    assert len(load_prepared(config.data_folder).ligands) == 6


def test_a_parquet_table(tmp_path: Path) -> None:
    names = HEADER.strip().split(",")
    rows = [*ROWS, (None, LONG[0], 0.5, "train")]
    pd.DataFrame(rows, columns=names).to_parquet(tmp_path / "pairs.parquet")
    config = settings(tmp_path, csv(ROWS), BOTH, pairs=str(tmp_path / "pairs.parquet"), on_invalid="skip")
    assert prepare(config).counts["pairs"].kept == 4
    assert "pairs.parquet,5,/" in (config.data_folder / "rejects.csv").read_text()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"columns": {"ligand": None}}, "data.columns.ligand is null, so nothing names a ligand"),
        ({"columns": {"ligand_sequence": "a"}, "symmetric": True}, "set data.columns.ligand_sequence and data"),
        (
            {"columns": BOTH, "scores": {"term": "I_sc", "description": "(?P<ligand>.)(?P<receptor>.)"}},
            "have no meaning for a Rosetta score file",
        ),
    ],
)
def test_settings_that_do_not_go_together(data: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        config_from_dict({"data": data})


def test_a_score_file_has_no_sequences(tmp_path: Path) -> None:
    (tmp_path / "a.sc").write_text("SCORE: I_sc description\nSCORE: -1 a_b_1\n")
    config = settings(tmp_path, "", BOTH, pairs=str(tmp_path / "a.sc"), scores={"term": "I_sc"})
    assert "Set data.columns.ligand_sequence to null, and name a FASTA file as data.ligands" in refused(config)


def test_files_that_are_not_read_change_nothing(tmp_path: Path) -> None:
    config = settings(tmp_path, csv(ROWS), BOTH)
    first = ensure_prepared(config).summary["made_from"]
    (tmp_path / "no.fasta").write_text("no FASTA at all")
    assert check_inputs(config).origin == first
    assert first["settings"]["data.ligands"] is None
    assert list(first["inputs"]) == ["pairs"]


def test_an_id_that_is_made_stays_what_it_is() -> None:
    """Reports and stores of other runs have it; `snw_dist/data/README.md` shows it."""
    assert made_id("GPHSLRYFVTAVSRPGLGEPRYMEVGYVDDTEFVRFDSDAENPRYEPRARWMEQEG") == "GPHSLRYF_56_3cfc7fb7243a"
    assert made_id("A" * 50) == "A" * 50
