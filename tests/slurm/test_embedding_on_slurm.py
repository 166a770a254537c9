"""Embedding on a real Slurm: MPI and arrays give the same store, an array task is requeued by itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from snw_dist.embedding.store.header import read_header
from tests.slurm.conftest import ROOT, Cluster, Workplace, tree, wait_until

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm"), pytest.mark.timeout(600)]


def configured(workplace: Workplace, name: str, mpi: str = "none") -> list[str]:
    """A run with a store of its own; with `mpi` its ranks are one MPI job."""
    config = json.loads((workplace.folder / "SNW_config.json").read_text())
    profile = json.loads((ROOT / "slurm" / "profiles" / "devcluster.json").read_text())
    (workplace.folder / f"profile-{mpi}.json").write_text(json.dumps(profile | {"mpi": mpi}))
    config["store"]["path"] = f"{name}.zarr"
    config["cluster"]["profile"] = str(workplace.folder / f"profile-{mpi}.json")
    file = workplace.folder / f"{name}.json"
    file.write_text(json.dumps(config))
    return ["--config", str(file), "--run", name]


def shards_by_file(run: Path) -> dict[str, list[int]]:
    files = sorted((run / "embedding").glob("*.jsonl"))
    return {f.stem: [json.loads(line)["shard"] for line in f.read_text().splitlines()] for f in files}


@pytest.mark.parametrize(("nodes", "array", "mpi"), [(4, 1, "pmi2"), (2, 2, "pmi2"), (2, 3, "none")])
def test_the_same_store_by_mpi_and_by_arrays(workplace: Workplace, nodes: int, array: int, mpi: str) -> None:
    name = f"shared-{nodes}-{array}-{mpi}"
    said = workplace.run("embed", *configured(workplace, name, mpi), "--nodes", str(nodes), "--array", str(array))
    assert "9 shards" in said
    assert array == 1 or f"all {array} jobs are done" in said
    assert tree(workplace.folder / f"{name}.zarr") == tree(workplace.folder / "store.zarr")
    shards = shards_by_file(workplace.run_folder(name))
    assert len(shards) == nodes * array
    assert sorted(shard for own in shards.values() for shard in own) == list(range(9))
    for task in range(array if array > 1 else 0):
        assert {s % array for file, own in shards.items() if f"task_{task:05d}" in file for s in own} == {task}


def test_a_preempted_array_task_is_requeued_by_itself(cluster: Cluster, workplace: Workplace) -> None:
    """Two tasks of one node and a job that takes three nodes of four: one task goes on, the other comes back."""
    arguments = configured(workplace, "requeued")
    config = json.loads(Path(arguments[1]).read_text())
    config["store"] |= {"shard_rows": 512}
    config["encoder"] = {"tokens_per_batch": 64}
    Path(arguments[1]).write_text(json.dumps(config))
    process = workplace.start("embed", *arguments, "--nodes", "1", "--array", "2")
    parts = workplace.folder / "requeued.zarr" / ".parts"
    wait_until(lambda: len(list(parts.glob("*.safetensors"))) >= 6, "six shards")
    ids = cluster.command("squeue", "-h", "-r", "-o", "%i", "--name=embed-requeued").split()
    assert len(ids) == 2
    cluster.command("scontrol", "requeue", ids[1])
    shown = lambda job: cluster.command("scontrol", "show", "job", "--oneliner", job)  # noqa: E731
    wait_until(lambda: "Restarts=1" in shown(ids[1]), "requeued", 120)
    assert "Restarts=0" in shown(ids[0])
    assert process.wait(timeout=200) == 0
    assert read_header(workplace.folder / "requeued.zarr").complete
    shards = [s for own in shards_by_file(workplace.run_folder("requeued")).values() for s in own]
    assert len(shards) - len(set(shards)) <= 1, "more than one shard was computed again"
    workplace.run("embed", *arguments, "--verify")
    (job,) = [line for line in workplace.run("status", *arguments).splitlines() if "verify-requeued" in line]
    assert re.search(r"\bdone\b", job)
