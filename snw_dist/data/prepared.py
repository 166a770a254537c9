"""Reading what `prepare` wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hpc.errors import CorruptError, InputError
from hpc.reading import BadFileError, read_json
from snw_dist.config import SnwConfig, with_values
from snw_dist.data.digest import FORMAT, made_from
from snw_dist.data.prepare import check_inputs, write_prepared
from snw_dist.data.text import sha256_file
from snw_dist.data.transform import LabelTransform, transform_from_json
from snw_dist.data.write import PAIRS, SCORES, SEQUENCES, SUMMARY, TRANSFORM

_AGAIN = "Run: python launch/prepare.py"
_NEEDED = ("made_from", "files")
T = TypeVar("T")


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


def load_prepared(folder: Path) -> Prepared:
    """Load the data folder of a run.

    Raises `InputError` when there is none or it is of another version, and `CorruptError` naming the file
    when one is missing, damaged or not the one that was written.
    """
    summary = _read_summary(folder)
    if summary["made_from"]["format"] != FORMAT:
        raise InputError(f"{folder}: written by another version of snw-dist. {_AGAIN}")
    for name, digest in summary["files"].items():
        path = folder / name
        if not path.is_file() or (found := sha256_file(path)) != digest:
            state = f"damaged: SHA-256 is {found}, not {digest}" if path.is_file() else "missing"
            raise CorruptError(f"{path}: {state}. {_AGAIN}")
    sequences = pq.read_table(folder / SEQUENCES)
    pairs = pq.read_table(folder / PAIRS).to_pandas()
    transform, scores = None, None
    if TRANSFORM in summary["files"]:
        transform = transform_from_json(json.loads((folder / TRANSFORM).read_text()), str(folder / TRANSFORM))
        scores = pq.read_table(folder / SCORES).to_pandas()
    return Prepared(_of_kind(sequences, "ligand"), _of_kind(sequences, "receptor"), pairs, summary, transform, scores)


def ensure_prepared(config: SnwConfig) -> Prepared:
    """The prepared data of a run, made first where need be, see `with_prepared`.

    In a job of several processes call it in one of them and `load_prepared` in the others afterwards.
    """
    return with_prepared(config, lambda prepared: prepared)


def as_prepared(config: SnwConfig) -> SnwConfig:
    """The configuration with what `prepare` was given on its command line: it holds until it is called again."""
    path = config.data_folder / SUMMARY
    if not path.is_file():
        return config
    return with_values(config, _read_summary(config.data_folder).get("given", {}), str(path))


def with_prepared(config: SnwConfig, check: Callable[[Prepared], T], allow_changes: bool = False) -> T:
    """What `check` returns for the prepared data of a run; they are made first when absent or made from others.

    See `as_prepared` for what holds beside the configuration. New data take the place of older ones only after
    `check`, so a command that refuses leaves them as they were. Raises as `write_prepared` does, to which
    `allow_changes` is handed on.
    """
    folder, given, config = config.data_folder, {}, as_prepared(config)
    if (folder / SUMMARY).is_file():
        summary = _read_summary(folder)
        given = summary.get("given", {})
        if summary["made_from"] == made_from(config.data, config.split_seed):
            return check(load_prepared(folder))
    found: list[T] = []
    checked = check_inputs(config)
    write_prepared(config, checked, given, allow_changes, lambda fresh: found.append(check(load_prepared(fresh))))
    return found[0]


def _read_summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    try:
        summary = read_json(path)
    except FileNotFoundError:
        raise InputError(f"{folder}: no prepared data here. {_AGAIN}") from None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{path}: damaged: {error}. {_AGAIN}") from None
    if not isinstance(summary, dict) or not all(isinstance(summary.get(k, {}), dict) for k in ("given", *_NEEDED)):
        raise CorruptError(f"{path}: damaged: not what prepare writes. {_AGAIN}")
    if not summary.keys() >= set(_NEEDED) or "format" not in summary["made_from"]:
        raise CorruptError(f"{path}: damaged: made_from or files is missing. {_AGAIN}")
    return summary


def _of_kind(sequences: pa.Table, kind: str) -> dict[str, str]:
    rows = sequences.filter(pc.equal(sequences["kind"], kind))
    return dict(zip(rows["id"].to_pylist(), rows["sequence"].to_pylist(), strict=True))
