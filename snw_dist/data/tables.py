"""The names and schemas of the files of the data folder; see `prepare` for what they hold.

Both who writes and who reads them imports this module, so it knows neither.
"""

from __future__ import annotations

import pyarrow as pa

FORMAT = 4
"""Raised when the rules or the files of the prepared folder change."""
SEQUENCES, PAIRS, SCORES, DROPPED = "sequences.parquet", "pairs.parquet", "scores.parquet", "dropped.parquet"
REJECTS, TRANSFORM, SUMMARY = "rejects.csv", "label_transform.json", "summary.json"
SEQUENCE_SCHEMA = pa.schema([(name, pa.string()) for name in ("kind", "id", "sequence")])
PAIR_SCHEMA = pa.schema(
    [
        ("ligand_id", pa.string()),
        ("receptor_id", pa.string()),
        ("label", pa.float64()),
        ("positive", pa.bool_()),
        ("split", pa.string()),
        ("weight", pa.float64()),
    ]
)
SCORE_SCHEMA = pa.schema(
    [("score", pa.float64()), ("spread", pa.float64()), ("decoys", pa.int64()), ("inequality", pa.string())]
)
DROPPED_SCHEMA = pa.schema([(name, pa.string()) for name in ("ligand_id", "receptor_id", "reason")])
