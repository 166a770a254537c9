"""Columns of Parquet keep their types and values on the way through."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hpc.errors import InputError
from snw_dist.scoring.scorer import PairScorer
from snw_dist.scoring.table.parquet import parquet_source
from snw_dist.scoring.table.run import Output, predict_table
from snw_dist.scoring.table.sides import Refused
from tests.kit.table_tools import COLUMNS, FakeScorer, score_of, sides


def test_there_and_back(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": pa.array([1, None, 3, 4], pa.int32()),
            "ligand": pa.array(["SIINFEKL", "AA", None, "CC"], pa.large_string()),
            "when": pa.array([0, 1, 2, 3], pa.timestamp("ms")),
            "receptor": pa.array(["MKV", "MKV", "MKV", "GG"]).dictionary_encode(),
            "list": pa.array([[1], [], None, [2, 3]], pa.list_(pa.int8())),
        }
    )
    pq.write_table(table, tmp_path / "pairs.parquet")
    source = parquet_source(tmp_path / "pairs.parquet", sides(), rows=3)
    scorer: PairScorer = FakeScorer()  # type: ignore[assignment]
    assert predict_table(source, scorer, COLUMNS, Output(tmp_path / "out.parquet")) == (4, 3, 1, 0)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(table.column_names) == table.take(pa.array([0, 1, 3]))
    assert found.schema.names == [*table.column_names, "snw_score"]
    assert found.schema.metadata[b"snw_schema"] == b"1"
    assert found["snw_score"].to_pylist() == [
        score_of(*pair) for pair in (("SIINFEKL", "MKV"), ("AA", "MKV"), ("CC", "GG"))
    ]
    predict_table(source, scorer, COLUMNS, Output(tmp_path / "out.csv"))
    assert pd.read_csv(tmp_path / "out.csv")["list"].tolist() == ["[1]", "[]", "[2, 3]"]


def test_a_column_without_texts(tmp_path: Path) -> None:
    pd.DataFrame({"ligand": [1.5], "receptor": ["MKV"]}).to_parquet(tmp_path / "pairs.parquet")
    [chunk] = parquet_source(tmp_path / "pairs.parquet", sides()).chunks()
    assert chunk.pairs == [Refused("the ligand is no text but float")]


def test_no_such_column_and_no_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"ligand": ["AA"]}).to_parquet(tmp_path / "pairs.parquet")
    with pytest.raises(InputError, match="no column with the receptor; the columns are: ligand"):
        parquet_source(tmp_path / "pairs.parquet", sides())
    (tmp_path / "pairs.parquet").write_text("ligand,receptor\n")
    with pytest.raises(InputError, match="not a readable Parquet file"):
        parquet_source(tmp_path / "pairs.parquet", sides())
