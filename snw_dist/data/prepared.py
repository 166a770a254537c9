"""Reading what `prepare` wrote; a rank of a job does, so nothing here imports what makes it (see `ensure`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from hpc.disk.files import file_digest
from hpc.disk.reading import read_json
from hpc.disk.strict import validated
from hpc.errors import CorruptError, InputError, SnwError
from snw_dist.data.files.inputs import TABLES
from snw_dist.data.files.parquet import read_parquet
from snw_dist.data.scores.transform import LabelTransform, transform_from_json
from snw_dist.data.summary import PrepareSummary
from snw_dist.data.tables import (
    FORMAT,
    PAIR_SCHEMA,
    PAIRS,
    SCORE_SCHEMA,
    SCORES,
    SEQUENCE_SCHEMA,
    SEQUENCES,
    SUMMARY,
    TRANSFORM,
)

_AGAIN = "Run: snw-dist prepare"


@dataclass(frozen=True)
class Prepared:
    """The cleaned tables of a run."""

    ligands: dict[str, str]
    """From id to sequence, in file order; likewise `receptors`."""
    receptors: dict[str, str]
    pairs: pd.DataFrame
    """Columns ligand_id, receptor_id (str), label (float64, 0 to 1), positive (bool), split (str), weight (float64,
    above 0, of mean 1 over train: how much the label is to be trusted, see `decoys.noise_weights`)."""
    summary: dict[str, Any]
    """The content of `summary.json`, see `PrepareSummary`."""
    label_transform: LabelTransform | None = None
    """From raw scores to labels and back; None where the labels were given."""
    scores: pd.DataFrame | None = None
    """Where labels come from scores, row by row beside `pairs`: score (float64), spread (float64, NaN where there is
    one decoy), decoys (int64), inequality (str: the true score is `<`, `>` or `=` to it)."""

    @property
    def symmetric(self) -> bool:
        """The sides mean nothing: both have the same sequences, and each pair has one order."""
        return _symmetric(self.summary)


def load_prepared(folder: Path) -> Prepared:
    """Load the data folder of a run.

    Raises `InputError` when there is none or it is of another version, and `CorruptError` naming the file
    when one is missing, damaged or not the one that was written.
    """
    summary = read_summary(folder)
    if summary["made_from"]["format"] != FORMAT:
        raise InputError(f"{folder}: written by another version of snw-dist. {_AGAIN}")
    for name, digest in summary["files"].items():
        path = folder / name
        if not path.is_file() or (found := file_digest(path)) != digest:
            state = f"damaged: SHA-256 is {found}, not {digest}" if path.is_file() else "missing"
            raise CorruptError(f"{path}: {state}. {_AGAIN}")
    counted = _validated_summary(summary, folder / SUMMARY)
    num_sequences = counted.counts["ligands"].kept + counted.counts["receptors"].kept
    num_pairs = sum(split.pairs for split in counted.splits.values())
    sequences = read_parquet(folder / SEQUENCES, SEQUENCE_SCHEMA, num_sequences, CorruptError, _AGAIN)
    pairs = read_parquet(folder / PAIRS, PAIR_SCHEMA, num_pairs, CorruptError, _AGAIN).to_pandas()
    transform, scores = None, None
    if TRANSFORM in summary["files"]:
        transform = _read_transform(folder / TRANSFORM)
        scores = read_parquet(folder / SCORES, SCORE_SCHEMA, num_pairs, CorruptError, _AGAIN).to_pandas()
    ligands = _of_kind(sequences, "ligand")
    receptors = ligands if _symmetric(summary) else _of_kind(sequences, "receptor")
    return Prepared(ligands, receptors, pairs, summary, transform, scores)


def read_summary(folder: Path) -> dict[str, Any]:
    """The content of `summary.json` of a data folder, of whatever version.

    Raises `InputError` where there is none, and `CorruptError` where it is damaged.
    """
    path = folder / SUMMARY
    try:
        summary: dict[str, Any] = read_json(path)
        if summary["made_from"]["format"] == FORMAT:  # others have another shape
            _validated_summary(summary, path)
        elif not isinstance(summary.get("given", {}), dict):
            raise CorruptError("given is no object")
    except FileNotFoundError:
        raise InputError(f"{folder}: no prepared data here. {_AGAIN}") from None
    except (OSError, ValueError, CorruptError) as error:
        raise CorruptError(f"{path}: damaged: {error}. {_AGAIN}") from None
    except (KeyError, TypeError):
        raise CorruptError(f"{path}: damaged: made_from or files is missing. {_AGAIN}") from None
    return summary


def _validated_summary(summary: dict[str, Any], path: Path) -> PrepareSummary:
    known = validated(PrepareSummary, summary, str(path), CorruptError)
    if known.counts.keys() != set(TABLES) or not isinstance(known.made_from.get("inputs"), dict):
        raise CorruptError(f"{path}: counts or inputs are missing")
    if not {SEQUENCES, PAIRS} <= known.files.keys():
        raise CorruptError(f"{path}: files of the folder are missing")
    return known


def _read_transform(path: Path) -> LabelTransform:
    try:
        return transform_from_json(read_json(path), str(path))
    except (OSError, ValueError, TypeError, SnwError) as error:
        raise CorruptError(f"{path}: damaged: {str(error).splitlines()[0]}. {_AGAIN}") from None


def _symmetric(summary: Mapping[str, Any]) -> bool:
    return bool(summary.get("made_from", {}).get("settings", {}).get("data.symmetric", False))


def _of_kind(sequences: pa.Table, kind: str) -> dict[str, str]:
    rows = sequences.filter(pc.equal(sequences["kind"], kind))
    return dict(zip(rows["id"].to_pylist(), rows["sequence"].to_pylist(), strict=True))
