"""What a run folder shows without its arrays being read: how far it has come, its best figures, its size and age."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.disk.reading import BadFileError, read_json
from hpc.disk.storage import stored_below
from hpc.errors import InputError, SnwError
from snw_dist.data.tables import SUMMARY
from snw_dist.trained_run.folder import newest_meta, read_finished

CHECKPOINTS, STORE = "checkpoints", "store.zarr"
_METRICS = Path("evaluation") / "metrics.json"
_STAGES = (
    ("bundle made", Path("bundle") / "bundle.json"),
    ("measured", _METRICS),
    ("trained", Path("finished.json")),
    ("in training", Path(CHECKPOINTS)),
    ("store begun", Path(STORE)),
    ("prepared", Path("data") / SUMMARY),
    ("begun", Path("jobs")),
)
"""The last thing that a run has, from the end to the beginning, and the file or folder by which it is known."""


@dataclass(frozen=True)
class RunFacts:
    """One run."""

    folder: Path
    stage: str
    best: str
    """On `val`, while it was trained."""
    test: str
    """AUROC on the first held-out split."""
    num_bytes: int
    checkpoint_bytes: int
    store_bytes: int
    changed_at: float
    """When a file of it was last written, in seconds since 1970."""


def runs_in(folder: Path) -> list[RunFacts]:
    """All runs of a folder, those changed last first; raises `InputError` where there is none."""
    try:
        inside = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed: {error.strerror}. It is run.folder of the configuration."
        ) from None
    found = [facts_of(path, stage) for path in inside if (stage := _stage(path))]
    if not found:
        raise InputError(f"{folder}: no run in it. Each run is a folder there, which snw-dist prepare makes.")
    return sorted(found, key=lambda run: -run.changed_at)


def facts_of(folder: Path, stage: str = "") -> RunFacts:
    """What is seen of one run; what is damaged or cannot be read is left empty here, for other commands to tell."""
    total, newest = stored_below(folder)
    checkpoints, store = (stored_below(folder / name)[0] for name in (CHECKPOINTS, STORE))
    best, test = "", ""
    with contextlib.suppress(SnwError, OSError, LookupError, TypeError, ValueError):
        best = _best(folder)
    with contextlib.suppress(BadFileError, OSError, LookupError, TypeError, ValueError):
        test = _test(read_json(folder / _METRICS))
    return RunFacts(folder, stage or _stage(folder), best, test, total, checkpoints, store, newest)


def _stage(folder: Path) -> str:
    return next((stage for stage, path in _STAGES if (folder / path).exists()), "")


def _best(folder: Path) -> str:
    finished = read_finished(folder)
    if finished is not None:
        name = next(name for name in finished.best if name != "step")
        return _figure(name, finished.best[name], f"step {finished.best['step']}")
    newest = newest_meta(folder)
    if newest is None:
        return ""
    progress, step = newest[1]["progress"], newest[1]["progress"]["step"]
    if progress["best_step"] is None:
        return f"at step {step}"
    value, monitor = progress["best_value"], newest[1]["trajectory"]["train.monitor"]
    return _figure(monitor, value, f"step {progress['best_step']}, now at {step}")


def _test(metrics: Mapping[str, Any]) -> str:
    splits = metrics["model"]["splits"]
    name = "test" if "test" in splits else next(name for name in splits if name != "val")
    return _figure("auroc", splits[name]["metrics"]["auroc"]["value"], name)


def _figure(name: str, value: float, where: str) -> str:
    return f"{name.upper() if name == 'auroc' else name} {abs(float(value)):.3f} ({where})"
