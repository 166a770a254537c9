"""Every rule for the pair table, in CSV, TSV and Parquet, with file:line, reason and fix."""

from __future__ import annotations

import gzip
import io
import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc.errors import InputError
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from tests.kit.data_inputs import PAIRS, Inputs


def _error(config: Any) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config)
    assert caught.value.exit_code == 2
    assert not config.run_folder.exists()
    return str(caught.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            "pepX,recA,0.5,train",
            r"pepX/recA: ligand id 'pepX' is not in data\.ligands\. Did you mean 'pep\d'\?",
        ),
        ("pep1,zzz,0.5,train", r"receptor id 'zzz' is not in data\.receptors\. Add its sequence or remove"),
        ("recA,pep1,0.5,train", r"ligand id 'recA' is not in .* data\.columns\.receptor swapped\?"),
        (",recA,0.5,train", r"the ligand id is empty\. Fill it in"),
        ("../../etc/passwd,recA,0.5,train", r"ligand id '\.\./\.\./etc/passwd' is not in"),
        ("=1+1,recA,0.5,train", r"ligand id '=1\+1' is not in"),
        ("pep1,recB,nan,train", r"pep1/recB: the label 'nan' is not finite\. Correct the cell"),
        ("pep1,recB,1.5,train", r"the label '1\.5' is outside \[0, 1\]\. Correct the cell"),
        ("pep1,recB,,train", r"the label is empty\. Correct the cell"),
        ("pep1,recB,high,train", r"the label 'high' is neither a number nor a word"),
        ("pep1,recB,0.5,", r"the split is empty\. Correct the cell"),
        ("pep1,recB,0.5,a/b", r"the split name 'a/b' has other characters"),
        ("pep1,recB,0.5", r"3 columns, the header has 4\. Add the missing cells"),
        (
            "pep1,recB,0.5,train,x",
            r"5 columns, the header has 4\. A cell with a delimiter must be quoted\. If all rows",
        ),
        ("pep1,recA,0.4,train", r"contradictory pair: label 0\.4 here, 0\.9 at line 2\. Keep the right row"),
        ("pep1,recA,0.9,test", r"contradictory pair: split test here, train at line 2\. Keep the right row"),
    ],
)
def test_bad_rows(inputs: Inputs, row: str, reason: str) -> None:
    message = _error(inputs(pairs=f"{PAIRS}\n{row}\n"))  # an empty line before it counts as a line
    assert re.search(rf"^/\S+/pairs\.csv:7: {'' if row.count(',') != 3 else '.*'}{reason}", message, re.MULTILINE)
    assert 'set data.on_invalid = "skip"' in message
    assert re.search(r"Bad records: [12] of 5 pairs\. Nothing was written\.", message)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ("", r"pairs\.csv:1: the table is empty\. It must have a header"),
        ("\n\n", r"pairs\.csv:1: the table is empty"),
        ("ligand_id,receptor_id,label,split\n", r"pairs\.csv:1: the table has a header and no rows\. Add"),
        (
            "ligand,receptor_id,label,split\n",
            r"pairs\.csv:1: no column 'ligand_id'; the columns are: ligand, receptor_id, label, split\. "
            r"Set data\.columns\.ligand, perhaps 'ligand', or data\.columns\.ligand_sequence where",
        ),
        (
            "ligand_id,receptor_id,label\n",
            r"no column 'split'.* Set data\.columns\.split, or have one made: data\.split\.method = .ligand_cold",
        ),
        ("ligand_id,receptor_id,label,split,label\n", r"pairs\.csv:1: column 'label' is there twice"),
        (
            PAIRS + 'pep1,recB,0.5,"train\n',
            r"pairs\.csv:6: a quote \(\"\) is opened and not closed.* Close it",
        ),
        (PAIRS + '"pep1,recB,0.5,train\n' + "x" * 140_000, r"pairs\.csv:6: a quote \(\"\) is opened and not"),
        (PAIRS + '"pep1"x,recB,0.5,train\n', r"pairs\.csv:6: a quote \(\"\) is out of place"),
        (
            PAIRS + 'pep1,recB,0.5,"train\n"\n',
            r"pairs\.csv:6: a quoted cell runs over the end of its line\. Close",
        ),
        (PAIRS + "pep1,re\0cB,0.5,train\n", r"pairs\.csv:6: NUL character\. Save the table as UTF-8"),
        (PAIRS.encode("utf-16"), r"pairs\.csv:1: is text in UTF-16"),
        (PAIRS.replace("test", "val"), r"no usable pairs in: a held-out split .*train, val.*Rename or add"),
        (PAIRS.replace(",val", ",test"), r"no usable pairs in: val "),
        (
            PAIRS.replace("0.1", "0.8"),
            r"the train split has only positive pairs among 2.*data\.positive_from",
        ),
        (PAIRS.replace("0.9", "0.4"), r"the train split has no positive pairs among 2"),
        (
            PAIRS + "".join(f"pep1,recB,0.5,s{i}\n" for i in range(100)),
            r"pairs\.csv:103: more than 100 different splits\. Is data\.columns\.split right",
        ),
    ],
)
@pytest.mark.parametrize("on_invalid", ["error", "skip"])
def test_unusable_tables(inputs: Inputs, pairs: str | bytes, message: str, on_invalid: str) -> None:
    assert re.search(message, _error(inputs(pairs=pairs, on_invalid=on_invalid)))


def test_other_ending(inputs: Inputs) -> None:
    message = _error(inputs(names=("l.fasta", "r.fasta", "pairs.xlsx")))
    assert "Name it .csv, .tsv (packed: .csv.gz, .csv.xz, ...) or .parquet" in message


def test_same_column_twice(inputs: Inputs) -> None:
    message = _error(inputs(columns={"binary": "label"}))
    assert "data.columns.binary and data.columns.label both name 'label'. Give each its own." in message


def _as(kind: str) -> bytes:
    table = pd.read_csv(io.StringIO(PAIRS))
    if kind == ".parquet":
        buffer = io.BytesIO()
        table.to_parquet(buffer)
        return buffer.getvalue()
    text = table.to_csv(index=False, sep="\t" if "tsv" in kind else ",", lineterminator="\r\n").encode()
    text = b"\xef\xbb\xbf" + text
    return gzip.compress(text, mtime=0) if kind.endswith("gz") else text


@pytest.mark.parametrize("kind", [".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".CSV"])
def test_all_kinds_give_the_same_pairs(inputs: Inputs, kind: str) -> None:
    config = inputs(pairs=_as(kind), names=("ligands.fasta", "receptors.fasta", f"pairs{kind}"))
    prepare(config)
    pairs = load_prepared(config.data_folder).pairs
    assert pairs.to_csv(index=False) == (
        "ligand_id,receptor_id,label,positive,split,weight\n"
        "pep1,recA,0.9,True,train,1.0\npep2,recA,0.1,False,train,1.0\n"
        "pep3,recB,0.7,True,val,1.0\npep4,recB,0.2,False,test,1.0\n"
    )
    assert pairs.dtypes.astype(str).tolist() == ["str", "str", "float64", "bool", "str", "float64"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label": [0.9, float("nan"), 0.7, 0.2]},
            r"pairs\.parquet:2: pep2/recA: the label nan is not finite\.",
        ),
        (
            {"label": [0.9, None, 0.7, 7.0]},
            r"pairs\.parquet:4: pep4/recB: the label 7\.0 is outside \[0, 1\]\.",
        ),
        ({"ligand_id": ["pep1", None, "pep3", "pep4"]}, r"pairs\.parquet:2: /recA: the ligand id is empty\."),
        (
            {"ligand_id": [1.0, 2.0, 3.0, 4.0]},
            r"column 'ligand_id' is double\. data\.columns\.ligand must name",
        ),
        ({"split": [True, True, False, False]}, r"column 'split' is bool\. data\.columns\.split must name"),
    ],
)
def test_bad_parquet_cells(inputs: Inputs, change: dict[str, list[Any]], message: str) -> None:
    buffer = io.BytesIO()
    columns = pd.read_csv(io.StringIO(PAIRS)).to_dict("list") | change
    pq.write_table(pa.table(columns), buffer)  # not by pandas, which would write NaN as missing
    error = _error(inputs(pairs=buffer.getvalue(), names=("l.fasta", "r.fasta", "pairs.parquet")))
    assert re.search(message, error)


@pytest.mark.parametrize("spoil", ["truncated", "flipped", "text"])
def test_damaged_parquet(inputs: Inputs, spoil: str) -> None:
    whole = _as(".parquet")
    content = {
        "truncated": whole[:-30],
        "flipped": whole[:4] + b"\xff" * 60 + whole[64:],
        "text": PAIRS.encode(),
    }
    error = _error(inputs(pairs=content[spoil], names=("l.fasta", "r.fasta", "pairs.parquet")))
    assert re.search(r"pairs\.parquet.*(not a readable|damaged|is no) Parquet.* (Write|Let it end)", error)


def test_whole_number_ids_and_categories_of_parquet(inputs: Inputs) -> None:
    table = pd.read_csv(io.StringIO(PAIRS)).assign(ligand_id=[1, 2, 3, 4], label=[True, False, True, False])
    table["split"] = table["split"].astype("category")
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    ligands = ">1\nMKVA\n>2\nACDE\n>3\nGGHH\n>4\nWWYY\n"
    config = inputs(ligands=ligands, pairs=buffer.getvalue(), names=("l.fasta", "r.fasta", "pairs.parquet"))
    prepare(config)
    pairs = load_prepared(config.data_folder).pairs
    assert pairs["ligand_id"].tolist() == ["1", "2", "3", "4"]
    assert pairs["label"].tolist() == [1.0, 0.0, 1.0, 0.0]


def test_binary_column_overrides_the_threshold(inputs: Inputs) -> None:
    pairs = PAIRS.replace("split\n", "split,binds\n").replace("train\n", "train,unbound\n", 1)
    pairs = pairs.replace("train\n", "train,yes\n").replace("val\n", "val,0\n").replace("test\n", "test,1\n")
    config = inputs(pairs=pairs, columns={"binary": "binds"})
    prepare(config)
    assert load_prepared(config.data_folder).pairs["positive"].tolist() == [False, True, False, True]


def test_binary_column_must_be_binary(inputs: Inputs) -> None:
    pairs = PAIRS.replace("label", "label,binds").replace(",0.", ",0.5,0.")
    message = _error(inputs(pairs=pairs, columns={"binary": "binds"}))
    assert "pairs.csv:2: pep1/recA: the binary label '0.9' is neither 0 nor 1. Correct the cell" in message


def test_positive_from_is_inclusive(inputs: Inputs) -> None:
    config = inputs(positive_from=0.7)
    prepare(config)
    assert load_prepared(config.data_folder).pairs["positive"].tolist() == [True, False, True, False]


def test_contradictory_rows_are_all_left_out_and_repeats_merged(inputs: Inputs) -> None:
    more = "pep1,recB,0.5,train\npep2,recB,0.3,val\npep1,recB,0.5,train\n"
    more += "pep1,recB,0.6,train\npep2,recB,0.30,val\n"
    config = inputs(pairs=PAIRS + more, on_invalid="skip")
    counts = prepare(config).counts["pairs"]
    assert (counts.read, counts.kept, counts.merged, counts.rejected) == (9, 5, 1, 3)
    assert (config.data_folder / "rejects.csv").read_text() == (
        "file,line,id,reason,value\n"
        'pairs.csv,6,pep1/recB,"contradictory pair: label 0.5 here, 0.6 at line 9",0.5\n'
        'pairs.csv,8,pep1/recB,"contradictory pair: label 0.5 here, 0.6 at line 9",0.5\n'
        'pairs.csv,9,pep1/recB,"contradictory pair: label 0.6 here, 0.5 at line 6",0.6\n'
    )


_ROW = st.tuples(
    st.sampled_from(["pep1", "pep2", "pep3", "pep9", ""]),
    st.sampled_from(["recA", "recB", "recC"]),
    st.sampled_from(["0", "1", "0.5", "nan", "2", ""]),
    st.sampled_from(["train", "val", "test", ""]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_ROW, max_size=15))
def test_counts_always_add_up(inputs: Inputs, rows: list[tuple[str, ...]]) -> None:
    ligands = ">pep1\nMKV\n>pep2\nMK*\n>pep3\nMK\n>pep3\nMK\n>a\nWW\n>b\nWY\n>c\nYY\n"
    base = "a,recA,1,train\nb,recA,0,train\nc,recA,1,val\nc,recB,0,test\n"
    pairs = "ligand_id,receptor_id,label,split\n" + base + "".join(",".join(row) + "\n" for row in rows)
    config = inputs(ligands=ligands, pairs=pairs, on_invalid="skip")
    summary = prepare(config)
    for count in summary.counts.values():
        assert count.read == count.kept + count.merged + count.rejected
    assert summary.counts["pairs"].read == 4 + len(rows)
    rejects = pd.read_csv(config.data_folder / "rejects.csv", keep_default_na=False)
    assert rejects["file"].value_counts().to_dict() == {
        f"{table}{'.csv' if table == 'pairs' else '.fasta'}": count.rejected
        for table, count in summary.counts.items()
        if count.rejected
    }
    assert sum(split.pairs for split in summary.splits.values()) == summary.counts["pairs"].kept
