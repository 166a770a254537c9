"""Tables that are not what their name says, or not what their first line says; every type of column in every role."""

from __future__ import annotations

import decimal
import io
import re
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpc.errors import InputError
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from tests.kit.data_inputs import LIGANDS, PAIRS, RECEPTORS, Inputs

BODY = PAIRS.split("\n", 1)[1]


def _pairs(config: Any) -> list[list[Any]]:
    prepare(config)
    return load_prepared(config.data_folder).pairs[["ligand_id", "receptor_id", "label", "split"]].to_numpy().tolist()


def _error(config: Any) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config)
    return str(caught.value)


def _named(name: str) -> tuple[str, str, str]:
    return "ligands.fasta", "receptors.fasta", name


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.tsv"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize(
    "before",
    ["", "# made by x, y; z\n", "\n\n# a\n# ligand_id\n", "sep={}\n", '"sep={}"\n'],
    ids=["", "#", "##", "sep", "qsep"],
)
def test_any_delimiter_and_comments_under_any_name(inputs: Inputs, name: str, delimiter: str, before: str) -> None:
    text = before.format(delimiter) + PAIRS.replace(",", delimiter)
    expected = _pairs(inputs())
    config = inputs(pairs=text, names=_named(name))
    assert _pairs(config) == expected
    notes = " ".join(load_prepared(config.data_folder).summary["notes"])
    usual = "," if name.endswith("csv") else "\t"
    assert ("the cells are separated by" in notes) == (delimiter != usual)
    assert ("is passed over" in notes) == before.startswith(("#", "\n"))


def test_a_header_behind_a_number_sign(inputs: Inputs) -> None:
    assert _pairs(inputs(pairs="#" + PAIRS)) == _pairs(inputs())


def test_lines_are_numbered_as_in_the_file(inputs: Inputs) -> None:
    message = _error(inputs(pairs="# one\n\n" + PAIRS.replace(",", ";") + "pep1;recA;7;train\n"))
    assert re.search(r"pairs\.csv:8: pep1/recA: the label '7' is outside", message)


def test_an_unknown_column_of_a_table_with_semicolons_lists_the_columns(inputs: Inputs) -> None:
    message = _error(inputs(pairs=PAIRS.replace(",", ";").replace("ligand_id", "peptide")))
    assert "no column 'ligand_id'; the columns are: peptide, receptor_id, label, split." in message


@pytest.mark.parametrize(
    "columns", [{}, {"ligand": "pep1", "receptor": "recA", "label": "0.9", "split": "train"}], ids=["", "named"]
)
@pytest.mark.parametrize(
    ("ligands", "first"), [(LIGANDS, "pep1"), (LIGANDS.replace("pep1", "sp|pep1|X"), "pep1"), (LIGANDS, "MKVA")]
)
def test_a_table_without_a_header_line(inputs: Inputs, ligands: str, first: str, columns: dict[str, str]) -> None:
    """Naming the cells of the first line as columns lost that pair without a word."""
    named = columns and columns | {"ligand": first}
    message = _error(inputs(ligands=ligands, pairs=BODY.replace("pep1", first), columns=named))
    assert "pairs.csv:1: the table seems to have no header line: its first line holds" in message
    assert repr(first) in message


def test_an_empty_table_of_comments(inputs: Inputs) -> None:
    assert "pairs.csv:1: the table is empty" in _error(inputs(pairs="# nothing\n\n"))


# ---- format x type x role

IDS = {
    "string": pa.string(),
    "large": pa.large_string(),
    "binary": pa.binary(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "dictionary of int": pa.dictionary(pa.int8(), pa.int64()),
}
NUMBERS = {
    "string": pa.string(),
    "float64": pa.float64(),
    "float32": pa.float32(),
    "float16": pa.float16(),
    "decimal": pa.decimal128(6, 3),
    "dictionary": pa.dictionary(pa.int32(), pa.float64()),
    "dictionary of string": pa.dictionary(pa.int32(), pa.string()),
}
SPLITS = ["train", "train", "val", "test"]
LABELS = [0.75, 0.25, 0.5, 0.125]


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(inner) or pa.types.is_large_string(inner):
        values = [None if v is None else str(v) for v in values]
    elif pa.types.is_binary(inner):
        values = [str(v).encode() for v in values]
    elif pa.types.is_decimal(inner):
        values = [None if v is None else decimal.Decimal(str(v)) for v in values]
    elif pa.types.is_float16(inner):
        return pa.array(values, pa.float32()).cast(inner)
    array = pa.array(values, inner)
    return array.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else array


def _parquet(columns: dict[str, pa.Array]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def _table(value: str, ids: pa.DataType, numbers: pa.DataType, values: list[Any]) -> bytes:
    return _parquet(
        {
            "ligand_id": _column([1, 2, 3, 4], ids),
            "receptor_id": _column([1, 1, 2, 2], ids),
            value: _column(values, numbers),
            "split": pa.array(SPLITS).dictionary_encode(),
        }
    )


NUMBERED = {"ligands": LIGANDS.replace("pep", ""), "receptors": RECEPTORS.replace("recA", "1").replace("recB", "2")}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
def test_parquet_columns_of_labels(inputs: Inputs, ids: pa.DataType, numbers: pa.DataType) -> None:
    config = inputs(**NUMBERED, pairs=_table("label", ids, numbers, LABELS), names=_named("pairs.parquet"))
    expected = [["1", "1", 0.75, "train"], ["2", "1", 0.25, "train"], ["3", "2", 0.5, "val"], ["4", "2", 0.125, "test"]]
    assert _pairs(config) == expected


@pytest.mark.parametrize("kind", [".csv", ".tsv", *NUMBERS])
def test_scores_of_every_format_and_type_are_the_same(inputs: Inputs, kind: str) -> None:
    """Float scores in Parquet were refused."""
    scores = [-3.5, -1.25, -2.0, -0.5]
    if kind.startswith("."):
        frame = pd.DataFrame(
            {
                "ligand_id": [1, 2, 3, 4],
                "receptor_id": [1, 1, 2, 2],
                "I_sc": scores,
                "split": ["train", "train", "val", "test"],
            }
        )
        data, name = frame.to_csv(index=False, sep="\t" if kind == ".tsv" else ",").encode(), f"pairs{kind}"
    else:
        data, name = _table("I_sc", pa.string(), NUMBERS[kind], scores), "pairs.parquet"
    config = inputs(**NUMBERED, pairs=data, names=_named(name), scores={"term": "I_sc"})
    prepare(config)
    table = load_prepared(config.data_folder).scores
    assert table is not None
    assert table["score"].tolist() == scores


@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("empty", [None, float("nan")], ids=["null", "nan"])
def test_an_empty_number_is_a_bad_record_of_its_row(inputs: Inputs, numbers: pa.DataType, empty: float | None) -> None:
    if empty is not None and not pa.types.is_floating(numbers):
        empty = None
    values = [*LABELS[:3], empty]
    message = _error(
        inputs(**NUMBERED, pairs=_table("label", pa.string(), numbers, values), names=_named("pairs.parquet"))
    )
    assert re.search(r"pairs\.parquet:4: 4/2: the label (is empty|nan is not finite)", message)


@pytest.mark.parametrize("kind", [pa.float64(), pa.bool_(), pa.timestamp("s"), pa.list_(pa.int64())], ids=str)
def test_columns_that_are_no_ids(inputs: Inputs, kind: pa.DataType) -> None:
    table = pq.read_table(io.BytesIO(_table("label", pa.int64(), pa.float64(), LABELS)))
    ids = pa.nulls(4, kind) if not pa.types.is_floating(kind) else pa.array([1.0, 2.0, 3.0, 4.0])
    data = _parquet({**{name: table[name] for name in table.column_names}, "ligand_id": ids})
    message = _error(inputs(**NUMBERED, pairs=data, names=_named("pairs.parquet")))
    assert "data.columns.ligand must name one of strings or whole numbers" in message


def test_a_parquet_table_without_columns(inputs: Inputs) -> None:
    assert "no column 'ligand_id'; the columns are: none." in _error(
        inputs(pairs=_parquet({}), names=_named("pairs.parquet"))
    )


# ---- affinities


def test_an_inequality_that_is_a_number(inputs: Inputs) -> None:
    """0 was read as an empty cell."""
    columns = {name: pa.array(values) for name, values in {"ic50": [5, 6, 7, 8], "q": [0, 0, 1, 1]}.items()}
    table = pq.read_table(io.BytesIO(_table("label", pa.string(), pa.float64(), LABELS)))
    data = _parquet({**{name: table[name] for name in table.column_names}, **columns})
    scores = {"term": "ic50", "transform": "log_affinity"}
    message = _error(
        inputs(**NUMBERED, pairs=data, names=_named("a.parquet"), scores=scores, columns={"inequality": "q"})
    )
    assert "a.parquet:1: 1/1: the inequality 0 is not one of" in message


@pytest.mark.parametrize("cell", [">=10000", "> 10000", "≥10000", ">10000"])
def test_an_inequality_in_the_cell(inputs: Inputs, cell: str) -> None:
    rows = f"pep1,recA,{cell},train\npep2,recA,<=50,train\npep3,recB,5,val\npep4,recB,9,test\n"
    pairs = f"ligand_id,receptor_id,ic50,split\n{rows}"
    config = inputs(pairs=pairs, scores={"term": "ic50", "transform": "log_affinity"}, positive_from=0.426)
    summary = prepare(config)
    table = load_prepared(config.data_folder).scores
    assert table is not None
    assert table["inequality"].tolist() == [">", "<", "=", "="]
    assert table["score"].tolist() == [10000, 50, 5, 9]
    assert any("2 affinities have an inequality in the cell" in note for note in summary.notes)


@pytest.mark.parametrize(("cell", "column", "good"), [(">5", "<", False), (">5", ">=", True), (">5", "", True)])
def test_two_inequalities_of_one_row(inputs: Inputs, cell: str, column: str, good: bool) -> None:
    pairs = (
        "ligand_id,receptor_id,ic50,ineq,split\n"
        f"pep1,recA,{cell},{column},train\npep2,recA,60000,,train\npep3,recB,5,=,val\npep4,recB,9,,test\n"
    )
    scores = {"term": "ic50", "transform": "log_affinity"}
    config = inputs(pairs=pairs, scores=scores, positive_from=0.99, columns={"inequality": "ineq"}, on_invalid="error")
    if good:
        assert "contradict" not in _error_or_nothing(config)
    else:
        assert "the value '>5' and the inequality '<' contradict each other" in _error(config)


def _error_or_nothing(config: Any) -> str:
    try:
        prepare(config)
    except InputError as error:
        return str(error)
    return ""
