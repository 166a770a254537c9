"""What is seen of jobs as plain data for programs. `hpc/README.md` describes it; a new key is no new format."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpc.progress import ProgressRecord, ProgressSummary
from hpc.submit.look import Look, Restart

FORMAT = 1


def as_plain(looks: Sequence[Look], now: float | None = None) -> dict[str, Any]:
    """All looks as one object, fit for JSON; times are seconds, points in time seconds since 1970."""
    now = time.time() if now is None else now
    return {"format": FORMAT, "time": now, "jobs": [_job(look, now) for look in looks]}


def _job(look: Look, now: float) -> dict[str, Any]:
    job, state = look.job, look.state
    return {
        "run": str(job.job_folder.parent.parent),
        "name": job.name,
        "id": job.job_id,
        "cluster": job.cluster,
        "folder": str(job.job_folder),
        "state": state.status,
        "ended": state.ended,
        "exit_code": state.exit_code,
        "message": state.message,
        "advice": job.advice(state),
        "attempt": state.attempt,
        "num_ranks": job.num_tasks,
        "progress": [_summary(item) for item in look.progress],
        "ranks": [_rank(record, now) for record in look.ranks],
        "restarts": [_restart(each) for each in look.restarts],
        "checkpoint": look.checkpoint and {"name": look.checkpoint.name, "age_s": now - look.checkpoint.saved},
        "curves": [{"name": c.name, "chart": c.chart, "step": [*c.x], "value": [*c.y]} for c in look.curves],
        "log": look.log_end and _log(look.log_end.rank, look.log_end.file, look.log_end.lines),
    }


def _summary(item: ProgressSummary) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "done": item.done,
        "total": item.total,
        "unit": item.unit,
        "per_s": item.rate if math.isfinite(item.rate) else None,
        "left_s": item.eta_s,
        "figures": dict(item.figures),
    }


def _rank(record: ProgressRecord, now: float) -> dict[str, Any]:
    return {
        "rank": record.rank,
        "kind": record.kind,
        "done": record.done,
        "unit": record.unit,
        "per_s": record.rate,
        "figures": dict(record.figures),
        "seen_s": now - record.updated,
    }


def _restart(each: Restart) -> dict[str, Any]:
    return {"job": each.job, "attempt": each.attempt, "ended": each.ended, "why": each.why, "done": each.done}


def _log(rank: int, file: Path, lines: Sequence[str]) -> dict[str, Any]:
    return {"rank": rank, "file": str(file), "lines": list(lines)}
