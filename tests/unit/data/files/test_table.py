"""Tables, ids and cells as people have them: each is read rightly, or the message names the cause."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from snw_dist.data.files.cells import split_inequality
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS, Inputs
from tests.kit.scored_inputs import outcome

HEADER, BODY = PAIRS.split("\n", 1)
ROWS = [line.split(",") for line in BODY.split()]
NO_HEADER = "the table seems to have no header line: its first line holds"


def cells(delimiter: str, *columns: int) -> str:
    return "".join(delimiter.join(row[i] for i in columns) + "\n" for row in ROWS)


def as_parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


FRAME = pd.read_csv(io.StringIO(BODY), header=None)
NAMED = {"ligand": "pep1", "receptor": "recA", "label": "0.9", "split": "train"}
NUMBERED = {"ligand": "0", "receptor": "1", "label": "2", "split": "3"}
UPPER = {key: name.upper() for key, name in NAMED.items()}
HEADERS: dict[str, tuple[str | bytes, str, dict[str, str], str]] = {
    "two ids": (cells(",", 0, 1), "csv", {}, NO_HEADER),
    "D-SCRIPT": (cells("\t", 0, 1, 2), "tsv", {}, NO_HEADER),
    "Bernett": (cells(" ", 0, 1), "csv", {}, NO_HEADER),
    "sequences": ("mkva,MKTAYIAKQR,0.9\n", "csv", {}, NO_HEADER),
    "after a comment": (f"# made today\n{BODY}", "csv", {}, f"pairs.csv:2: {NO_HEADER}"),
    "of another case, named": (BODY.upper(), "csv", UPPER, NO_HEADER),
    "quoted": (BODY.replace("pep1", '"pep1"'), "csv", {}, NO_HEADER),
    "pandas' index": (FRAME.to_csv(header=False), "csv", {}, NO_HEADER),
    "pandas' index alone has no name": (pd.read_csv(io.StringIO(PAIRS)).to_csv(), "csv", {}, "read 4"),
    "pandas' numbers": (FRAME.to_csv(index=False), "csv", NUMBERED, "read 4"),
    "pandas' numbers in Parquet": (as_parquet(FRAME.rename(columns=str)), "parquet", NUMBERED, "read 4"),
    "in Parquet": (as_parquet(pd.read_csv(io.StringIO(BODY))), "parquet", {}, NO_HEADER),
    "in Parquet, named": (as_parquet(pd.read_csv(io.StringIO(BODY))), "parquet", NAMED, NO_HEADER),
    "ids that are not known": (
        "x,y,0.5,train\n",
        "csv",
        {},
        "put a line of names above it, if that line is a row (0.5",
    ),
    "a title": (f"Binding data\n\n{PAIRS}", "csv", {}, "what stands before the names is passed over (lines 1)"),
    "a title in cells": (f"Binding data,,,\n,,,\n{PAIRS}", "csv", {}, "is passed over (lines 1, 2)"),
    "other comments": (f"% a, b\n// c\n{PAIRS}", "csv", {}, "is passed over (lines 1, 2)"),
    "a row before it": (f"pep1,recA,0.9,train\n{PAIRS}", "csv", {}, f"pairs.csv:1: {NO_HEADER}"),
    "twice": (f"{PAIRS}{HEADER}\n", "csv", {}, "pairs.csv:6: the header again. Remove the line."),
    "quotes behind blanks": (PAIRS.replace(",receptor_id", ', "receptor_id"'), "csv", {}, "read 4"),
    "a comment below": (
        f"{PAIRS}# end\n",
        "csv",
        {},
        "comments are passed over before the header only. Remove the line",
    ),
    "too few cells": (f"{PAIRS}pep1,recA\n", "csv", {}, "2 columns, the header has 4. Add the missing cells or"),
    "names of rows": (f"{HEADER}\n1,{BODY}", "csv", {}, "If all rows have one more, the header lacks a name."),
    "other cells than names": (f"{HEADER}\n{cells(chr(9), 0, 1, 2, 3)}", "csv", {}, "seem to be separated by tabs"),
    "colons": (PAIRS.replace(",", ":"), "csv", {}, "none of the separators that are read is between them"),
    "many columns": (",".join(f"c{i}" for i in range(5000)) + "\n", "csv", {}, "c49 and 4,950 more. Set data.columns"),
    "several blanks": (PAIRS.replace(",", "   "), "csv", {}, "the cells are separated by blanks"),
    "blanks around": (PAIRS.replace(",", " ").replace("\n", " \n"), "tsv", {}, "the cells are separated by blanks"),
    "sep with blanks": ("sep = ;\n" + PAIRS.replace(",", ";"), "csv", {}, "read 4"),
    "a decimal comma": (
        PAIRS.replace(",", ";").replace("0.", "0,"),
        "csv",
        {},
        "'0,9' has a comma; write numbers with",
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_and_delimiters(inputs: Inputs, kind: str) -> None:
    pairs, ending, columns, said = HEADERS[kind]
    config = inputs(pairs=pairs, names=("l.fasta", "r.fasta", f"pairs.{ending}"), columns=columns)
    assert said in outcome(config)


def test_a_column_may_be_called_as_an_id(inputs: Inputs) -> None:
    """A file of one protein often has `>receptor`."""
    names = {"ligand": "ligand", "receptor": "receptor"}
    config = inputs(
        ligands=LIGANDS.replace("pep1", "ligand"),
        receptors=RECEPTORS.replace("recA", "receptor"),
        pairs=PAIRS.replace("_id", "").replace("pep1", "ligand").replace("recA", "receptor"),
        columns=names,
    )
    assert "read 4" in outcome(config)


@pytest.mark.parametrize(
    ("header", "cell", "said"),
    [
        ("tr|A0A0B4J2F0|PIOS1_HUMAN x", "A0A0B4J2F0", "read 4"),
        ("sp|P12345|AATM_RABIT x", "AATM_RABIT", "read 4"),
        ("ref|NP_000537.3|", "NP_000537.3", "read 4"),
        ("lcl|pepx", "pepx", "read 4"),
        ("sp|P12345|X", "sp", "ligand id 'sp' is not in data.ligands"),
        ("ref|NP_000537.3|", "ref", "ligand id 'ref' is not in data.ligands"),
        ("pdb|1ABC|A", "A", "ligand id 'A' is not in data.ligands"),
        ("ref|NP_000537.3|", "NP_000537", "Did you mean 'ref|NP_000537.3|'?"),
        ("P12345.1", "P12345", "Did you mean 'P12345.1'?"),
        ("P12345", "P12345.2", "Did you mean 'P12345'?"),
        ("P12345", "P12345-2", "Did you mean 'P12345'?"),
        ("P53_HUMAN", "P53", "Did you mean 'P53_HUMAN'?"),
        ("UniRef90_P12345", "P12345", "Did you mean 'UniRef90_P12345'?"),
        ("1ABC:A|PDBID|CHAIN|SEQUENCE", "1ABC_A", "Did you mean '1ABC:A|PDBID|CHAIN|SEQUENCE'?"),
        ("pepx", "out/pepx.pdb", "Did you mean 'pepx'?"),
        ("pepx", "lcl|pepx", "Write the field that is the id: 'pepx'."),
        ("pep%7C1", "pep|1", "Did you mean 'pep%7C1'?"),
        ("pepx", "pepx ", "read 4"),
        ("pepx", "pepx\u00a0", "read 4"),
        ("pepx", "pep\u200bx", r"Did you mean 'pepx'? That is 'pepx', and here stands 'pep\u200bx'."),
        ("pepa", "pep\u0430", r"Did you mean 'pepa'? That is 'pepa', and here stands 'pep\u0430'."),
        ("pepx", "'pepx'", "Did you mean 'pepx'?"),
        ("101", "101.0", "Did you mean '101'?"),
        ("pepx", "MKTAYIAKQR", "It is the sequence of 'recA' in the other FASTA file."),
        (">pepx", "pepx", "Did you mean '>pepx'?"),
        (" pepx", "pepx", "ligands.fasta:1: the id is empty. Put an id directly after >."),
        ("P1;pepx\nMKVA", "pepx", "P1;pepx: the record is one of a PIR file: the line after the header is a title."),
    ],
)
def test_ids(inputs: Inputs, header: str, cell: str, said: str) -> None:
    ligands = LIGANDS.replace(">pep1 first", f">{header}")
    assert said in outcome(inputs(ligands=ligands, pairs=PAIRS.replace("pep1", cell)))


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        *((cell, "1 affinities have an inequality") for cell in (">1e4", "> 1e4", "=>10000", ">>10000", "⩾10000")),
        *((cell, "is more than a number; write the number alone") for cell in ("5 nM", "5nM", "~5", "5-10", "5±1")),
        *((cell, "is more than a number; write the number alone") for cell in (">5nM", "5 000", "5*", "0x10", "5e")),
        *((cell, "has a comma; write numbers with a point") for cell in ('"5,000"', '">10,000"')),
        *((cell, "is not a number") for cell in ("NA", "n.d.", "N/A", "-", "∞", "gt 5", "٥")),
        *((cell, "is not finite") for cell in ("nan", ">inf", "1e400")),
        *((cell, "is not above 0") for cell in ("0", "-5", "<0", "1e-400")),
        *((cell, "is empty") for cell in ("", ">", ">=")),
        ("1e4", "read 4"),
        ("+5.e1", "read 4"),
    ],
)
def test_cells_of_affinities(inputs: Inputs, cell: str, said: str) -> None:
    rows = f"pep1,recA,{cell},train\npep2,recA,60000,train\npep4,recA,1,train\npep3,recB,5,val\npep4,recB,9,test\n"
    pairs = f"ligand_id,receptor_id,ic50,split\n{rows}"
    config = inputs(pairs=pairs, scores={"term": "ic50", "transform": "log_affinity"}, positive_from=0.5)
    assert said.replace("read 4", "read 5") in outcome(config)


@pytest.mark.parametrize(("text", "sign"), [("=<5", -1), ("<<5", -1), ("≪5", -1), ("⩽ 5", -1), ("==5", 0), ("≫5", 1)])
def test_signs(text: str, sign: int) -> None:
    assert split_inequality(text) == (sign, "5")


@pytest.mark.parametrize("cell", ["100%", ">0.5", "'1'", "T", "+", "None", "active", "100", "-1", "1.0000001"])
def test_cells_that_are_no_labels(inputs: Inputs, cell: str) -> None:
    assert "pairs.csv:2: pep1/recA: the label" in outcome(inputs(pairs=PAIRS.replace("0.9", cell)))


# ---- sequences
DNA = "ACGTTGCANACGTACGGTCA" * 6
STOP = "It marks a stop: one alone may stand at the very end. Cut the sequence there or remove the record."


@pytest.mark.parametrize(
    ("sequence", "said"),
    [
        ("MKVA*", "1 records with * at the end, the mark of a stop, removed"),
        ("MKVA\n*", "1 records with * at the end"),
        ("MKVA * ", "1 records with * at the end"),
        ("MKVA**", f"'*' at column 5 is not an amino acid. {STOP}"),
        ("MK*VA*", f"'*' at column 3 is not an amino acid. {STOP}"),
        ("*MKVA", f"'*' at column 1 is not an amino acid. {STOP}"),
        ("*", "the sequence is empty"),
        (DNA, "nearly all letters are those of nucleotides"),
        (DNA.lower(), "nearly all letters are those of nucleotides"),
        (" ".join(DNA[i : i + 3] for i in range(0, 120, 3)), "nearly all letters are those of nucleotides"),
        (f"{DNA * 2}RYSWKM", "nearly all letters are those of nucleotides"),
        (f"{DNA}B", "'B' at column 121 is not one of the 20 standard amino acids. The record looks like nucleotides"),
        (
            DNA.replace("T", "U"),
            "'U' at column 4 is not one of the 20 standard amino acids. The record looks like nucleo",
        ),
        (f"{DNA}-", "'-' at column 121 is not an amino acid. The record looks like nucleotides: translate it."),
        (f"{DNA}\n>x\n{'MKTAYIAKQR' * 30}", "1 of 5 records look like nucleotides (first at ligands.fasta:1)"),
    ],
)
def test_stops_and_nucleotides(inputs: Inputs, sequence: str, said: str) -> None:
    assert said in outcome(inputs(ligands=LIGANDS.replace("MKVA", sequence)))


# ---- time
LONG = {
    "label": {"pairs": PAIRS.replace("0.9", "1" * 130_000 + "x")},
    "commas": {"pairs": PAIRS.replace(",", ";").replace("0.9", ",1" * 60_000 + "x")},
    "name": {"pairs": "1" * 130_000 + f"x,{PAIRS}"},
    "id": {"pairs": PAIRS.replace("pep1", "p" * 130_000)},
    "ids": {
        "ligands": "".join(f">{'p' * 480}{i}\nMK\n" for i in range(2_000)),
        "pairs": PAIRS.replace("pep", "p" * 470),
    },
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", LONG)
def test_a_long_cell_takes_no_long_time(inputs: Inputs, kind: str) -> None:
    """Telling that 130,000 digits and a letter are no number took minutes."""
    assert "pairs.csv:2: " in outcome(inputs(**LONG[kind]))
