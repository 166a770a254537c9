"""The figures of a run as MultiQC reads them ("custom content"), for laboratories that collect reports of many runs.

See https://docs.seqera.io/multiqc/custom_content. MultiQC finds files that end with `_mqc.json`.
"""

from __future__ import annotations

import json
from typing import Any

from snw_dist.metrics.metrics import METRICS
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.learning import records, series
from snw_dist.report.run.words import METRIC_WORDS, tested_splits


def multiqc_files(run: RunFiles) -> dict[str, bytes]:
    """Name and bytes of each file: first figures, all metrics, and AUROC over the steps. A sample is a run."""
    name, splits = str(run.metrics["provenance"]["run"]), tested_splits(run.metrics)
    figures = {
        f"{split} {metric}": run.metrics["model"]["splits"][split]["metrics"][metric]["value"]
        for split in splits
        for metric in METRICS
    }
    first = {key: value for key, value in figures.items() if key.endswith(" auroc")}
    steps, aurocs = series(records(run.log, "validation"), "auroc")
    course = {int(step): auroc for step, auroc in zip(steps.tolist(), aurocs.tolist(), strict=True) if auroc == auroc}
    contents: dict[str, dict[str, Any]] = {
        "general": {"plot_type": "generalstats", "pconfig": [_column(key) for key in first], "data": {name: first}},
        "metrics": {
            "section_name": "snw-dist: held-out pairs",
            "description": f"Pairs not learned from. Encoder: {run.metrics['provenance']['encoder']}.",
            "plot_type": "table",
            "pconfig": {"id": "snw_dist_metrics", "title": "snw-dist: held-out pairs"},
            "headers": {key: _column(key)[key] for key in figures},
            "data": {name: {key: value for key, value in figures.items() if value is not None}},
        },
        "learning": {
            "section_name": "snw-dist: learning",
            "description": "AUROC on the validation split over the steps of the training.",
            "plot_type": "linegraph",
            "pconfig": {"id": "snw_dist_learning", "title": "snw-dist: AUROC on val", "xlab": "step", "ylab": "AUROC"},
            "data": {name: course},
        },
    }
    return {
        f"snw_dist_{key}_mqc.json": json.dumps({"id": f"snw_dist_{key}", **content}, allow_nan=False).encode()
        for key, content in contents.items()
        if content["data"][name]
    }


def _column(key: str) -> dict[str, Any]:
    split, metric = key.rsplit(" ", 1)
    title, meaning = f"{METRIC_WORDS[metric]}, {split}", METRICS[metric]
    return {key: {"title": title, "description": meaning, "format": "{:,.3f}", "scale": "Blues"}}
