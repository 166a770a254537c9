"""The whole of `prepare`: what it writes, when it writes nothing, and when it writes again."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpc.errors import CorruptError, EnvironmentProblem, InputError
from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS, Inputs

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLE = REPOSITORY / "tests" / "data" / "mhc_binding"
FILES = ["dropped.parquet", "pairs.parquet", "rejects.csv", "sequences.parquet", "summary.json"]
LIGAND_COLD = {"method": "ligand_cold", "clusters": "identical"}


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _error(config: SnwConfig) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert caught.value.exit_code == 2
    assert not config.run_folder.exists()
    return str(caught.value)


@pytest.fixture
def example(tmp_path: Path) -> SnwConfig:
    files = {"ligands": "ligands.fasta", "receptors": "receptors.fasta", "pairs": "pairs.csv"}
    data: dict[str, Any] = {key: str(EXAMPLE / name) for key, name in files.items()}
    data["columns"] = {"binary": "binds"}
    return config_from_dict({"run": {"folder": str(tmp_path / "runs")}, "data": data})


def test_example_data(example: SnwConfig) -> None:
    summary = prepare(example)
    assert {name: split.pairs for name, split in summary.splits.items()} == {
        "train": 10_355,
        "val": 1_632,
        "test": 1_994,
        "test_unseen_receptor": 536,
    }
    assert all(split.ligands_in_train == 0 for name, split in summary.splits.items() if name != "train")
    assert summary.splits["test_unseen_receptor"].receptors_in_train == 0
    assert summary.notes == ["pairs.csv: columns not used: ic50_nm, inequality."]
    prepared = load_prepared(example.data_folder)
    assert (len(prepared.ligands), len(prepared.receptors), len(prepared.pairs)) == (3_159, 41, 14_517)
    assert set(prepared.pairs["ligand_id"]) <= prepared.ligands.keys()
    assert prepared.summary == json.loads(summary.to_json())


def test_what_is_written(inputs: Inputs) -> None:
    config = inputs()
    prepare(config)
    assert sorted(_bytes(config.data_folder)) == FILES
    assert [path.name for path in config.run_folder.iterdir()] == ["data"]
    prepared = load_prepared(config.data_folder)
    assert prepared.ligands == {"pep1": "MKVA", "pep2": "ACDEFG", "pep3": "GGHH", "pep4": "WWYY"}
    assert prepared.receptors == {"recA": "MKTAYIAKQR", "recB": "GSHMLEDPVD"}
    assert prepared.summary["splits"]["train"] == {
        "pairs": 2,
        "positives": 1,
        "ligands": 2,
        "receptors": 1,
        "ligands_in_train": 2,
        "receptors_in_train": 1,
    }


def test_the_folder_obeys_the_umask(inputs: Inputs) -> None:
    config = inputs()
    config.run_folder.mkdir(parents=True)
    prepare(config)
    assert config.data_folder.stat().st_mode == config.run_folder.stat().st_mode


def test_same_input_same_bytes_wherever_it_lies(inputs: Inputs, tmp_path: Path) -> None:
    ligands = LIGANDS + ">bad\nM-\n>low\nmkv\n"
    config = inputs(ligands=ligands, on_invalid="skip", split=LIGAND_COLD, positive_from=0.8)
    prepare(config)
    first = _bytes(config.data_folder)
    prepare(config)
    assert _bytes(config.data_folder) == first
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    names = ("ligands", "receptors", "pairs")
    paths = {name: shutil.copy(getattr(config.data, name), moved) for name in names}
    other = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, **paths),
        run=dataclasses.replace(config.run, folder=str(moved)),
    )
    prepare(other)
    assert _bytes(other.data_folder) == first


def test_compressed_inputs_give_the_same_tables(inputs: Inputs) -> None:
    prepare(config := inputs())
    plain = _bytes(config.data_folder)
    packed = [gzip.compress(text.replace("\n", "\r\n").encode(), mtime=0) for text in (LIGANDS, RECEPTORS, PAIRS)]
    prepare(config := inputs(*packed, names=("l.fasta.gz", "r.fasta.gz", "p.csv.gz")))
    again = _bytes(config.data_folder)
    assert {name: again[name] == plain[name] for name in FILES} == dict.fromkeys(FILES, True) | {"summary.json": False}


def test_random_split_needs_no_column(inputs: Inputs) -> None:
    pairs = "ligand_id,receptor_id,label\n" + "".join(f"p{i},recA,{i % 2}\n" for i in range(40))
    letters = "ACDEFGHIKLMNPQRSTVWY"
    ligands = "".join(f">p{i}\nM{letters[i // 2]}\n" for i in range(40))  # two ids for every sequence
    config = inputs(ligands=ligands, pairs=pairs, split=LIGAND_COLD, seed=5)
    summary = prepare(config)
    assert {name: split.pairs for name, split in summary.splits.items()} == {"train": 32, "val": 4, "test": 4}
    assert summary.splits["test"].ligands_in_train == 0
    assert any("seed 5" in note for note in summary.notes)


def test_errors_are_bounded_counted_and_in_file_order(inputs: Inputs) -> None:
    ligands = LIGANDS + "".join(f">bad{i}\nM-\n" for i in range(4))
    receptors = RECEPTORS + ">recX\nMKX\n"
    pairs = PAIRS + "bad0,recA,0.5,train\n" + "pep1,recA,7,train\n" * 20
    lines = _error(inputs(ligands, receptors, pairs)).split("\n")
    assert len(lines) == 12
    assert [re.sub(r".*/", "", line.split(": ")[0]) for line in lines[:7]] == [
        *(f"ligands.fasta:{line}" for line in (11, 13, 15, 17)),
        "receptors.fasta:6",
        "pairs.csv:6",
        "pairs.csv:7",
    ]
    assert "recX: 'X' at column 3 is not one of the 20 standard amino acids. Remove the record, or set" in lines[4]
    assert "bad0/recA: the sequence of ligand 'bad0' was rejected (line 10 of data.ligands)" in lines[5]
    assert lines[10] == "... and 16 more bad records."
    assert lines[11].startswith("Bad records: 4 of 8 ligands, 1 of 3 receptors, 21 of 25 pairs.")


@pytest.mark.parametrize(
    ("ligands", "message"),
    [
        ("", r"ligands\.fasta:1: the file is empty\. It must"),
        ("MKV\n", r"ligands\.fasta:1: text before the first header\. A FASTA"),
        (LIGANDS.encode("utf-16"), r"ligands\.fasta:1: is text in UTF-16\. Save"),
        (b"PK\x03\x04", r"ligands\.fasta:1: is a zip archive"),
    ],
)
@pytest.mark.parametrize("on_invalid", ["error", "skip"])
def test_files_that_are_not_fasta_stop_it_either_way(
    inputs: Inputs, ligands: str | bytes, message: str, on_invalid: str
) -> None:
    assert re.search(message, _error(inputs(ligands=ligands, on_invalid=on_invalid)))


def test_missing_file(inputs: Inputs) -> None:
    config = inputs()
    Path(config.data.receptors).unlink()
    assert "receptors.fasta: no such file. Correct data.receptors" in _error(config)


def test_a_split_that_loses_all_its_pairs_is_an_error(inputs: Inputs) -> None:
    config = inputs(pairs=PAIRS + "pepX,recA,0.5,other\n", on_invalid="skip")
    assert "all pairs of split 'other' were rejected" in _error(config)


def test_everything_rejected_is_an_error(inputs: Inputs) -> None:
    lines = _error(inputs(ligands=">pep1\nM-\n", on_invalid="skip")).split("\n")
    assert "no usable pairs in: train; val" in lines[0]
    assert lines[1] == "Before that, bad records were left out: 1 of 1 ligands, 4 of 4 pairs. The first:"
    assert "ligands.fasta:2: pep1: '-' at column 2 is not an amino acid" in lines[2]
    assert len(lines) == 5


def test_a_gzip_file_by_any_name(inputs: Inputs) -> None:
    prepare(inputs(ligands=gzip.compress(LIGANDS.encode(), mtime=0)))


def test_reject_table_holds_no_formulas(inputs: Inputs) -> None:
    config = inputs(ligands=LIGANDS + ">=cmd|x\nM-\n>@b\nM\x1b\n", on_invalid="skip")
    prepare(config)
    with (config.data_folder / "rejects.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [(row[1], row[2], row[4]) for row in rows[1:]] == [("11", "'=cmd|x", "'-"), ("13", "'@b", r"\x1b")]


def test_messages_hold_no_control_characters(inputs: Inputs) -> None:
    message = _error(inputs(ligands=LIGANDS + ">a\x1b[31m\nMK\n>b\nM\x1bK\n"))
    assert message.replace("\n", "").isprintable()


def test_files_of_the_same_name_stay_apart(inputs: Inputs, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    names = ("a/seq.fasta", "b/seq.fasta", "pairs.csv")
    config = inputs(RECEPTORS + LIGANDS + ">x\nM-\n", RECEPTORS, names=names, on_invalid="skip")
    prepare(config)
    assert "a/seq.fasta,15,x," in (config.data_folder / "rejects.csv").read_text()


def test_an_older_folder_is_replaced_only_by_a_good_one(inputs: Inputs) -> None:
    config = inputs()
    prepare(config)
    (config.data_folder / "left_behind").touch()
    before = _bytes(config.data_folder)
    with pytest.raises(InputError):
        prepare(inputs(ligands=">a\nM-\n"))
    assert _bytes(config.data_folder) == before
    prepare(inputs())
    assert sorted(_bytes(config.data_folder)) == FILES
    assert [path.name for path in config.run_folder.iterdir()] == ["data"]


def test_a_run_folder_that_cannot_be_written(inputs: Inputs) -> None:
    config = inputs()
    Path(config.run.folder).write_text("a file where the folder should be")
    with pytest.raises(EnvironmentProblem, match=r"Not a directory\. .* choose another folder") as caught:
        prepare(config)
    assert caught.value.exit_code == 4


def test_loading_without_a_folder_names_the_command(inputs: Inputs) -> None:
    with pytest.raises(InputError, match=r"no prepared data here\. Run: snw-dist prepare"):
        load_prepared(inputs().data_folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_damage_is_found_when_loading(inputs: Inputs, name: str, damage: str) -> None:
    config = inputs()
    prepare(config)
    path = config.data_folder / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    if damage == "flip":
        path.write_bytes(content)
    else:
        path.unlink()
    kind = InputError if (name, damage) == ("summary.json", "remove") else CorruptError
    with pytest.raises(kind, match=r"Run: snw-dist prepare"):
        load_prepared(config.data_folder)


def test_prepared_again_only_when_something_changed(inputs: Inputs) -> None:
    config = inputs()
    assert len(ensure_prepared(config).pairs) == 4

    def times(config: SnwConfig) -> int:
        ensure_prepared(config)
        return (config.data_folder / "summary.json").stat().st_mtime_ns

    first = times(config)
    assert times(inputs()) == first
    changes: list[dict[str, Any]] = [
        {"ligands": LIGANDS + ">pep5\nKK\n"},
        {"receptors": RECEPTORS + ">recC\nKK\n"},
        {"pairs": PAIRS + "pep1,recB,0.5,test\n"},
        {"seed": 2},
        {"seed": 2, "split": {"seed": 1}},
        {"positive_from": 0.6},
    ]
    for change in changes:
        again = times(inputs(**change))
        assert again != first
        first = again
        assert times(inputs(**change)) == first


def test_ensure_prepared_reports_bad_input(inputs: Inputs) -> None:
    with pytest.raises(InputError, match="Nothing was written"):
        ensure_prepared(inputs(ligands=LIGANDS + ">x\nM-\n"))
