"""Files for MultiQC, in the form that it reads (`multiqc` 1.35 was tried by hand)."""

from __future__ import annotations

import dataclasses
import json

from snw_dist.report.multiqc import multiqc_files
from snw_dist.report.run.files import RunFiles


def test_a_run_is_a_sample(run: RunFiles) -> None:
    files = {name: json.loads(data) for name, data in multiqc_files(run).items()}
    assert {name: content["plot_type"] for name, content in files.items()} == {
        "snw_dist_general_mqc.json": "generalstats",
        "snw_dist_metrics_mqc.json": "table",
        "snw_dist_learning_mqc.json": "linegraph",
    }
    assert all(list(content["data"]) == ["made <up>"] for content in files.values())
    value = run.metrics["model"]["splits"]["test"]["metrics"]["auroc"]["value"]
    assert files["snw_dist_general_mqc.json"]["data"]["made <up>"]["test auroc"] == value
    assert files["snw_dist_learning_mqc.json"]["data"]["made <up>"]["20"] == 0.72
    assert "RANDOM" in files["snw_dist_metrics_mqc.json"]["description"]
    assert "snw_dist_learning_mqc.json" not in multiqc_files(dataclasses.replace(run, log=[]))
