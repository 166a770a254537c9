"""What a run has left on disk, read once for all sections of its report."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from hpc.disk.json_lines import read_json_lines
from hpc.disk.reading import BadFileError, read_json
from hpc.errors import CorruptError, InputError
from snw_dist.config import SnwConfig
from snw_dist.data.audit.findings import EFFECTS
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.tables import REJECTS
from snw_dist.evaluate.report import read_metrics
from snw_dist.report.run.rejects import Reason, reasons_of
from snw_dist.report.run.starts import Start, starts_of
from snw_dist.trained_run.folder import Finished, read_finished
from snw_dist.trained_run.watched import METRICS

_AGAIN = "Make it again: snw-dist evaluate"
_COLUMNS = ("ligand_id", "receptor_id", "label", "positive", "split", "stratum", "score", "probability")


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The files of an evaluated run."""

    settings: SnwConfig
    folder: Path
    metrics: dict[str, Any]
    """`evaluation/metrics.json`."""
    predictions: pd.DataFrame
    """`evaluation/predictions.parquet`: the held-out pairs."""
    prepared: Prepared
    """The data folder as it is now."""
    rejects: list[Reason]
    """Why records were rejected when the data were prepared."""
    log: list[dict[str, Any]]
    """`metrics.jsonl`; empty where there is none."""
    starts: list[Start]
    """Of its training, the first one too, as far as the folders of its jobs are still there."""
    finished: Finished | None
    provenance: dict[str, Any]
    """`provenance.json`; empty where there is none."""
    config: dict[str, Any]
    """`config.json`; empty where there is none."""
    audit: list[dict[str, Any]] | None
    """Findings of `audit.json`; None where no audit was made."""
    embedding: dict[str, list[dict[str, Any]]]
    """Rank -> the shards that it filled."""

    @property
    def data_is_measured(self) -> bool:
        """Whether the data folder is still the one that was measured."""
        return bool(self.metrics["provenance"].get("data_files") == self.prepared.summary["files"])


def read_run(settings: SnwConfig) -> RunFiles:
    """Read everything.

    Raises `InputError` where the run has no evaluation or no data, and `CorruptError` where what is there is damaged.
    """
    folder = settings.run_folder
    evaluation = folder / "evaluation"
    if not (evaluation / "metrics.json").exists():
        raise InputError(f"{evaluation}: no evaluation here, and a report is made of one. Run: snw-dist evaluate")
    log = folder / METRICS
    return RunFiles(
        settings,
        folder,
        read_metrics(evaluation),
        _predictions(evaluation / "predictions.parquet"),
        load_prepared(settings.data_folder),
        reasons_of(settings.data_folder / REJECTS),
        list(read_json_lines(log)) if log.is_file() else [],
        starts_of(folder / "jobs", settings.run.name),
        read_finished(folder),
        _object(folder / "provenance.json"),
        _object(folder / "config.json"),
        _findings(folder / "audit.json"),
        {file.stem.removeprefix("rank_"): _shards(file) for file in sorted(folder.glob("embedding/rank_*.jsonl"))},
    )


def _predictions(path: Path) -> pd.DataFrame:
    try:
        table = pq.read_table(path, columns=list(_COLUMNS))
    except FileNotFoundError:
        raise InputError(f"{path}: missing. {_AGAIN}") from None
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are of these
        raise CorruptError(f"{path}: damaged: {str(error).splitlines()[0]}. {_AGAIN}") from None
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, or an empty one: what it says is no result."""
    try:
        found = read_json(path)
    except (OSError, BadFileError):
        return {}
    return found if isinstance(found, dict) else {}


def _findings(path: Path) -> list[dict[str, Any]] | None:
    """What has the form of a finding; None where no audit was made."""
    if not path.is_file():
        return None
    found = _object(path).get("findings")
    return [one for one in found if _is_finding(one)] if isinstance(found, list) else []


def _is_finding(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("kind") not in EFFECTS:
        return False
    return all(isinstance(value.get(name), kind) for name, kind in (("where", str), ("count", int), ("effect", str)))


def _shards(path: Path) -> list[dict[str, Any]]:
    return list(read_json_lines(path))
