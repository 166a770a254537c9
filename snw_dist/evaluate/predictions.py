"""The scores of pairs as tables: CSV for people, Parquet with the ids exactly as they were given."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from hpc.disk.files import atomic_write_bytes
from hpc.shown import spreadsheet_cell

_NAMES = ("ligand_id", "receptor_id", "split", "stratum")
_COLUMNS = ("ligand_id", "receptor_id", "label", "positive", "split", "stratum", "score", "probability")
_TYPES = {"label": "float64", "positive": "bool", "score": "float64", "probability": "float64"}


def write_predictions(folder: Path, name: str, predictions: pd.DataFrame) -> None:
    """Write `name.csv` and `name.parquet`: ids, label, positive, split, stratum, score, probability; rows as they come.

    In the CSV an id that a spreadsheet would run as a formula has an apostrophe in front.
    """
    table = predictions.loc[:, list(_COLUMNS)].astype({**_TYPES, **dict.fromkeys(_NAMES, "str")})
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None), buffer)
    atomic_write_bytes(folder / f"{name}.parquet", buffer.getvalue().to_pybytes())
    atomic_write_bytes(folder / f"{name}.csv", predictions_csv(table).encode("utf-8"))


def predictions_csv(predictions: pd.DataFrame) -> str:
    """The table as CSV text, positive as 0 or 1.

    Numbers are float64 in the shortest form that an exact reader, such as `float`, reads back as the same.
    """
    table = predictions.loc[:, list(_COLUMNS)].astype(_TYPES)
    shown = {name: table[name].astype("str").map(spreadsheet_cell) for name in _NAMES}
    return table.assign(**shown).astype({"positive": "int8"}).to_csv(index=False, lineterminator="\n")
