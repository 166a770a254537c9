"""Comparing networks on a real Slurm: one command prepares, embeds, trains an array and prints one table."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest

from snw_dist.config import ModelName
from snw_dist.evaluate.controls.controls import DATA_CONTROLS
from tests.slurm.conftest import Cluster, Workplace

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]
MODELS = get_args(ModelName)


def test_six_networks_and_the_controls_in_one_table(cluster: Cluster, workplace: Workplace) -> None:
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    config["store"]["path"] = "compared.zarr"
    config["train"] |= {"max_steps": 4, "validate_every": 4}
    config["evaluate"] = {"bootstrap": 50}
    (workplace.folder / "compared.json").write_text(json.dumps(config))
    command = ["--config", "compared.json", "--run", "compared", "--models", ",".join(MODELS), "--nodes", "1"]
    said = workplace.run("compare", *command, timeout_s=400)
    assert f"all {len(MODELS)} jobs are done" in said
    names = [f"compare-compared-{model}-1" for model in MODELS]
    for name in names:
        cluster.wait_for_states(name, ["COMPLETED"])
        assert re.search(rf"^job \d+_\d: {name}$", said, re.MULTILINE), said
    arrays = {job.partition("_")[0] for name in names for [job] in cluster.jobs(name, "JobID")}
    assert all(name in workplace.run("status", "--config", "compared.json", "--run", "compared") for name in names)
    assert len(arrays) == 1, "the jobs are the tasks of one array"
    comparison = json.loads((workplace.run_folder("compared") / "compare" / "comparison.json").read_text())
    assert comparison["missing"] == []
    rows = comparison["models"] | comparison["controls"]
    assert set(rows) == {*MODELS, *DATA_CONTROLS}
    for name, row in rows.items():
        assert list(row["splits"]) == ["test", "test_unseen_receptor", "val"]
        assert all(0 <= split["metrics"]["auroc"]["low"] <= 1 for split in row["splits"].values())
        assert name not in MODELS or len(re.findall(rf"^  {name} ", said, re.MULTILINE)) == 3, said
    for split in ("test", "test_unseen_receptor"):
        others = comparison["networks"]["verdicts"][split]
        assert {*others, comparison["networks"]["best"]} == {*MODELS}
        for verdict in [*comparison["verdicts"][split].values(), *others.values()]:
            assert verdict["sentence"] in " ".join(said.split())
    for name in MODELS:
        [facts] = comparison["models"][name]["trained"].values()
        assert re.search(rf"^{name} +{facts['parameters']:,} +[\d.]+ s  cpu ", said, re.MULTILINE), said


def test_all_folds_on_one_store(cluster: Cluster, workplace: Workplace) -> None:
    """Cross-validation: data for each fold, one embedding, an array of all trainings, one table of means."""
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    config["store"]["path"] = "folds.zarr"
    config["train"] |= {"max_steps": 4, "validate_every": 4}
    config["evaluate"] = {"bootstrap": 50, "controls": ["degree"]}
    config["data"]["split"] = {"method": "receptor_cold", "clusters": "identical", "folds": 3}
    (workplace.folder / "folds.json").write_text(json.dumps(config))
    command = ["--config", "folds.json", "--run", "folds", "--models", "siamese", "--all-folds", "--nodes", "1"]
    said = workplace.run("compare", *command, timeout_s=300)
    assert "all 3 jobs are done" in said
    cluster.wait_for_states("embed-folds", ["COMPLETED"])  # one embedding for all folds
    path = workplace.run_folder("folds") / "compare" / "cross_validation.json"
    assert f"Written to {path}" in said
    written = json.loads(path.read_text())
    assert (written["folds"], written["missing"]) == (3, [])
    auroc = written["models"]["siamese"]["splits"]["test"]["metrics"]["auroc"]
    assert auroc["value"] == pytest.approx(sum(auroc["of_folds"]) / 3)
    assert written["verdicts"]["test"]["siamese"]["sentence"] in " ".join(said.split())
    logs = sorted((workplace.folder / "runs").glob("folds-fold?-siamese-*/metrics.jsonl"))
    before = [log.read_bytes() for log in logs]
    workplace.run("compare", *command, timeout_s=300)
    assert len(before) == 3
    assert [log.read_bytes() for log in logs] == before, "what is finished is not trained again"
    assert json.loads(path.read_text()) == written
