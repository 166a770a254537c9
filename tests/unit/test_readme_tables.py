"""What the READMEs say of the code, in tables and examples, is so."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
import zarr

from hpc.errors import ExitCode
from hpc.job.profile import EnvironmentVariable, SiteProfile, load_profile
from snw_dist.config import ControlName, SnwConfig
from snw_dist.config_file import load_config
from snw_dist.embedding.store.commits import commit_shard, shard_buffer
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.metrics.metrics import METRICS
from snw_dist.model.legal_losses import LOSSES
from tests.faults.promises import PROMISES
from tests.kit.readmes import ROOT, blocks, section, table


def config_keys(cls: type, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, default, annotation) of every leaf."""
    hints, defaults = get_type_hints(cls), cls()
    for field in dataclasses.fields(cls):
        value, key = getattr(defaults, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from config_keys(type(value), key + ".")
        else:
            yield key, value, hints[field.name]


def choices(annotation: Any) -> set[Any]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return set().union(*map(choices, get_args(annotation)))


def test_configuration_table_is_that_of_the_code() -> None:
    rows = table(section("## Configuration", "snw_dist/README.md"), "key")
    keys = {key: (default, annotation) for key, default, annotation in config_keys(SnwConfig)}
    assert list(rows) == list(keys)
    for key, (default, annotation) in keys.items():
        shown, meaning = rows[key]
        assert json.loads(shown.strip("`")) == default, key
        assert meaning, key
        for choice in choices(annotation):
            assert f"`{choice}`" in meaning or f"`{json.dumps(choice)}`" in meaning, f"{key}: {choice}"


def test_promises_are_those_that_are_tested() -> None:
    rows = table(section("## Promises", "tests/faults/README.md"), "row")
    assert {int(row): cells[0] for row, cells in rows.items()} == {row: fault for row, (fault, _) in PROMISES.items()}


def test_metrics_and_controls_are_those_of_the_code() -> None:
    text = section("## Reading an evaluation", "snw_dist/evaluate/README.md")
    assert list(table(text, "name")) == list(METRICS)
    assert list(table(text, "control")) == list(get_args(ControlName))


def test_networks_and_losses_are_those_of_the_code() -> None:
    rows = table(section("## Networks and losses", "snw_dist/model/README.md"), "`model.name`")
    assert set(rows) == set(LOSSES)
    for name, (_, default, further) in rows.items():
        assert tuple(re.findall(r"`(\w+)`", default + further)) == LOSSES[name], name  # type: ignore[index]


def test_profile_table_is_that_of_the_code() -> None:
    text = section("## Writing a site profile", "slurm/README.md")
    rows = table(text, "key")
    defaults = SiteProfile()
    names = [field.name for field in dataclasses.fields(SiteProfile)]
    assert set(rows) == set(names)
    for name in names:
        assert json.loads(rows[name][0].strip("`")) == getattr(defaults, name), name
    variables = [field.name for field in dataclasses.fields(EnvironmentVariable)]
    assert all(f"`{name}`" in rows["environment"][1] for name in variables)


def test_json_examples_are_accepted(tmp_path: Path) -> None:
    [config], [profile] = blocks("json", "snw_dist/README.md"), blocks("json", "slurm/README.md")
    (tmp_path / "SNW_config.json").write_text(config)
    assert load_config(tmp_path / "SNW_config.json").encoder.name == "esmc"
    (tmp_path / "site.json").write_text(profile)
    assert load_profile(str(tmp_path / "site.json"), tmp_path).tasks_per_node == 2


def test_exit_codes_are_those_of_the_code() -> None:
    rows = table(section("## Exit codes"), "code")
    assert {int(code) for code in rows} == {*map(int, ExitCode), 1, 130}


def test_fences_are_those_of_the_import_contract() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    contract = set()
    for name in setup.sections():
        for line in setup[name].get("ignore_imports", "").split("\n"):
            if "->" in line:
                module, _, package = line.strip().partition(" -> ")
                contract.add((module.replace(".", "/") + ".py", package))
    rows = table(section("## Architecture", "CONTRIBUTING.md"), "only here")
    said = {(file, cells[0].lower()) for file, cells in rows.items() if file != "hpc/ranks/topology.py"}
    assert said == contract


STORE = "snw_dist/embedding/README.md"
SEQUENCE = "GSHSMRYFFTSVSRPGRGEPRFIAVGYVDDTQFVRFDSDAASQRMEPR"


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small `runs/demo/store.zarr`, as `embed` would leave it."""
    folder = tmp_path_factory.mktemp("demo")
    path = folder / "runs" / "demo" / "store.zarr"
    names = [("ligand", "pep1", "SIINFEKL"), ("receptor", "HLA-A*02:01", SEQUENCE)]
    plan = plan_embedding([sequence for _, _, sequence in names], shard_rows=64, chunk_rows=16)
    facts = ("weights_sha256", "layers", "combine", "arithmetic", "window_residues", "window_overlap")
    header = PartPlan(0, path, plan, [], 0).header(dict.fromkeys(facts, "test"), "float16", 4)
    create_part(path, plan, header, [(kind, name, plan.sequences.index(text)) for kind, name, text in names])
    buffer = shard_buffer(plan, 4, torch.float16)
    torch.randn(buffer.shape, generator=torch.Generator().manual_seed(0), out=buffer)
    commit_shard(path, plan, 0, buffer)
    finalize_part(path, plan)
    return folder


def test_python_examples_run(demo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo_folder)
    names: dict[str, Any] = {}
    for block in blocks("python", STORE):
        exec(compile(block, STORE, "exec"), names)
    assert names["rows"].shape == (len(SEQUENCE), 4)
    assert np.isfinite(names["rows"]).all()
    assert (names["same_rows"].numpy() == names["rows"]).all()
    assert names["reader"].index(SEQUENCE) == names["i"]


def test_store_tables_are_those_of_a_store(demo_folder: Path) -> None:
    text = section("## Embedding store", STORE)
    group = zarr.open_group(demo_folder / "runs/demo/store.zarr", mode="r")
    assert set(table(text, "array")) == set(group.array_keys())
    assert set(table(text, "attribute")) == set(group.attrs)
