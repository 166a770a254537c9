"""The README of every room tells the truth: its commands, options, links, tables and code are those of the project."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
import typer
import zarr

import launch.compare
import launch.doctor
import launch.embed
import launch.evaluate
import launch.prepare
import launch.status
import launch.train
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

ROOT = Path(__file__).resolve().parents[2]
ROOM_FOLDERS = ("hpc", "launch", "slurm", "snw_dist", "tests")
TOP = "README.md"
ROOMS = (
    *("hpc", "slurm", "snw_dist", "tests/bench", "tests/faults"),
    *(f"snw_dist/{room}" for room in ("data", "embedding", "evaluate", "model", "train")),
)
FILES = sorted(
    str(file.relative_to(ROOT))
    for files in (ROOT.glob("*.md"), *((ROOT / folder).rglob("*.md") for folder in ROOM_FOLDERS))
    for file in files
    if file.name != "CHANGELOG.md"  # says what was, with names that are no more
)
NOT_THERE = "## What is not there yet"
WHY = "## Why it is so"
LAUNCHERS = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        launch.prepare,
        launch.embed,
        launch.train,
        launch.evaluate,
        launch.status,
        launch.compare,
        launch.doctor,
    )
}
# Programs of Slurm, of the shell and of installed packages that the READMEs call; what they do is not ours to test.
FOREIGN = {"eval", "hf", "module", "sacct", "sbatch", "source", "squeue", "srun", "tail"}


def read(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def blocks(language: str, file: str) -> list[str]:
    """Code blocks of one language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", read(file), flags=re.MULTILINE | re.DOTALL)
    return ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]


def section(heading: str, file: str = TOP) -> str:
    """The text of a file from a heading to the next one of the same rank or a higher one."""
    level = heading.split()[0]
    match = re.search(
        rf"^{re.escape(heading)}\n(.*?)(?=^#{{2,{len(level)}}} |\Z)", read(file), re.MULTILINE | re.DOTALL
    )
    assert match, f"{file}: no section {heading!r}"
    return match[1]


def table(text: str, first: str) -> dict[str, list[str]]:
    """Rows of the tables whose first heading is `first`: from each name in the first cell to the other cells."""
    rows: dict[str, list[str]] = {}
    header = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            header = None
        elif header is None:
            header = cells
        elif header[0] == first and not set(cells[0]) <= {"-"}:
            for name in re.findall(r"`([^`]+)`", cells[0]) or [cells[0]]:
                assert name not in rows, f"{name} is there twice"
                rows[name] = cells[1:]
    return rows


def without_blocks(file: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", read(file), flags=re.MULTILINE | re.DOTALL)


def inline_code(file: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", without_blocks(file))


def commands() -> list[list[str]]:
    """Every different one, of all files."""
    lines = [line for file in FILES for block in blocks("bash", file) for line in block.splitlines()]
    ours = ("python launch/", "make ", "slurm/devcluster ")
    lines += [code for file in FILES for code in inline_code(file) if code.startswith(ours)]
    return [list(words) for words in dict.fromkeys(tuple(shlex.split(line, comments=True)) for line in lines) if words]


def test_commands_are_found_in_the_readmes() -> None:
    starts = {" ".join(words[:2]) for words in commands()}
    assert {"make demo", "make test", "python launch/embed.py", "slurm/devcluster up", "make faults"} <= starts


def test_every_room_has_a_readme_that_ends_with_the_reasons() -> None:
    for room in ROOMS:
        text = without_blocks(f"{room}/README.md")
        assert text.startswith("# "), room
        assert re.findall(r"^## .*$", text, re.MULTILINE)[-1] == WHY, room


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_command_exists_and_takes_its_options(words: list[str]) -> None:
    program, *arguments = words
    if program == "python":
        script, *options = arguments
        assert (ROOT / script).is_file()
        command = typer.main.get_command(LAUNCHERS[Path(script).stem].app)
        command.make_context(script, list(options))  # parses, and raises on an unknown option or value
    elif program == "make":
        targets = [word for word in arguments if "=" not in word]
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in targets)
        for name in (word.split("=")[0] for word in arguments if "=" in word):
            assert re.search(rf"^{name} \?=", (ROOT / "Makefile").read_text(), re.MULTILINE), f"no setting {name}"
    elif program == "slurm/devcluster":
        text = subprocess.run([ROOT / program, "help"], check=True, capture_output=True, text=True).stdout
        assert f"{program} {arguments[0]}" in text
    else:
        assert program in FOREIGN


def test_the_top_is_short_and_leads_to_every_room() -> None:
    assert len(read(TOP).splitlines()) <= 250
    rows = table(section("## The tree"), "room")
    links = set(re.findall(r"\]\(([^)#]+)\)", " ".join(rows)))
    assert links == set(FILES) - {TOP} | {"CHANGELOG.md"}


def anchors(file: str) -> set[str]:
    """Of the headings of a file, as the forges that show it make them."""
    headings = re.findall(r"^#+ (.*)$", without_blocks(file), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", FILES)
def test_links_lead_somewhere(file: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(file)):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            there = ((ROOT / file).parent / path).resolve() if path else ROOT / file
            assert there.exists(), target
            assert not anchor or anchor in anchors(str(there.relative_to(ROOT))), target


@pytest.mark.parametrize("file", FILES)
def test_paths_exist_but_for_those_said_to_be_missing(file: str) -> None:
    missing = section(NOT_THERE)
    for code in inline_code(file):
        if re.fullmatch(r"(hpc|snw_dist|launch|slurm|tests)/[\w./-]+|[A-Z]\w+\.(md|json)|\.ci/\w+", code):
            assert (ROOT / code).exists() != (f"`{code}`" in missing), code


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
    [config], [profile] = blocks("json", TOP), blocks("json", "slurm/README.md")
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


ROOMS = sorted(path.parent for path in ROOT.glob("snw_dist/*/README.md"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_the_table_of_a_room_names_all_its_files(room: Path) -> None:
    """The first table, before the first section: files that stand in the room itself, and its inner rooms."""
    first = (room / "README.md").read_text(encoding="utf-8").split("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+(?:\.py|/))`", first))
    files = {path.name for path in room.glob("*.py")} - {"__init__.py"}
    inner = {f"{path.parent.name}/" for path in room.glob("*/__init__.py")}
    assert named == files | inner
