"""SNW_config.json: what is refused, what its paths mean, and what the command line overrides."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc.errors import InputError
from launch._submit import cluster_overrides
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.config_file import load_config
from tests.kit.config_tools import message, write
from tests.kit.hostile import bounded, mutated
from tests.kit.hostile_text import changed

ROOT = Path(__file__).parents[2]


def test_the_projects_own_file_is_legal() -> None:
    config = load_config(ROOT / "SNW_config.json")
    assert Path(config.data.pairs).is_file()
    assert config.run_folder == ROOT / "runs" / "demo"
    assert config.store_path == config.run_folder / "store.zarr"
    assert config.data_folder == config.run_folder / "data"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{\n "run": {\n}', ":3: not valid JSON"),
        ('{"run": {},\n\n "x" 1}', ":3: not valid JSON"),
        ("", ":1: not valid JSON"),
        ('{"run": {"name": "a",}}', ":1: not valid JSON: no comma may stand before the closing } (column 22)"),
        ("\ufeff{", ":1: not valid JSON"),
        ('{"run": {"seed": 1},\n "data": {},\n "run": {}}', ":3: the key 'run' comes twice (lines 1 and 3)"),
        ('{"run": {"seed": NaN}}', ":1: not valid JSON: NaN is no number"),
        ('{"run": {"seed": 1e999}}', ":1: not valid JSON: 1e999 is too large"),
        ('{"run": {"seed": ' + "9" * 5000 + "}}", ":1: not valid JSON: a number has too many digits (column 18)"),
        ('{"run": ' * 100 + "1" + "}" * 100, ": nested too deeply"),
        ('{"run": ' + "[" * 100_000, ": nested too deeply"),
    ],
)
def test_a_mistake_in_json_names_file_and_line(tmp_path: Path, text: str, where: str) -> None:
    path = write(tmp_path, text)
    assert f"{path}{where}" in message(load_config, path)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"run"'])
def test_the_top_level_is_an_object(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    assert message(load_config, path).startswith(f"{path}: the top level must be an object with the sections run, data")


def test_comments_and_the_name_of_a_schema_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "SNW_config.json"
    train = {"// epochs": 3, "//": ["why", {"x": 1}], "warmup_steps": 2}
    path.write_text(json.dumps({"$schema": "./x.json", "//": "first", "train": train}))
    config = load_config(path)
    assert (config.train.warmup_steps, config.train.epochs) == (2, 20)
    path.write_text(json.dumps({"train": {"$schema": "x"}}))
    with pytest.raises(InputError, match=r"unknown key 'train\.\$schema'"):
        load_config(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file. Give --config FILE" in message(load_config, tmp_path / "none.json")
    assert "not a regular file" in message(load_config, tmp_path)
    (tmp_path / "latin.json").write_bytes(b'{"run": {"name": "\xe4"}}')
    assert "not UTF-8" in message(load_config, tmp_path / "latin.json")
    os.mkfifo(tmp_path / "pipe.json")
    assert "not a regular file" in message(load_config, tmp_path / "pipe.json")
    assert "not a regular file" in message(load_config, Path("/dev/zero"))
    with (tmp_path / "large.json").open("wb") as out:
        out.truncate(2**40)
    assert "more than the 1,048,576 that it may have" in message(load_config, tmp_path / "large.json")


PLAIN = config_to_dict(SnwConfig())


@bounded(200)
@given(
    content=st.binary(max_size=100)
    | mutated(PLAIN).map(lambda v: json.dumps(v).encode())
    | changed(json.dumps(PLAIN, indent=1).encode())
)
def test_any_configuration(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    try:
        load_config(path)
    except InputError as error:
        lines = str(error).splitlines()
        assert all(line.startswith(f"{path}:") for line in lines), lines
        assert max(map(len, lines)) < 3_000


def test_relative_paths_are_those_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "models").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    values = {
        "run": {"name": "x", "folder": "out"},
        "data": {"ligands": "l.fasta", "receptors": "../r.fasta", "pairs": "/data/p.csv"},
        "encoder": {"name": "esmc", "weights": "models"},
        "store": {"path": "emb.zarr"},
    }
    write(tmp_path / "project", values)
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_config("../project/SNW_config.json")
    project = tmp_path / "project"
    assert config.run_folder == project / "out" / "x"
    assert Path(config.data.ligands) == project / "l.fasta"
    assert Path(config.data.receptors).resolve() == tmp_path / "r.fasta"
    assert config.data.pairs == "/data/p.csv"
    assert config.encoder.weights == str(project / "models")
    assert config.store_path == project / "emb.zarr"
    again = config_from_dict(config_to_dict(config))
    assert again == config  # what a job gets means the same from any folder


@pytest.mark.parametrize(
    ("weights", "anchored"),
    [
        ("biohub/ESMC-300M", False),
        ("w.pth", True),
        ("./folder", True),
        ("../folder", True),
        ("/abs/folder", False),
        ("sub/w.pth", True),
    ],
)
def test_a_hub_id_stays_a_hub_id(tmp_path: Path, weights: str, anchored: bool) -> None:
    config = load_config(write(tmp_path, {"encoder": {"name": "esmc", "weights": weights}}))
    assert config.encoder.weights == (str(tmp_path / weights) if anchored else weights)


@pytest.mark.parametrize(
    ("given", "of_file", "of_command"),
    [
        ("my_site.json", "{file}/my_site.json", "{here}/my_site.json"),
        ("sites/mine", "{file}/sites/mine", "{here}/sites/mine"),
        ("../sites/mine.json", "{file}/../sites/mine.json", "{here}/../sites/mine.json"),
        ("~/mine.json", "{home}/mine.json", "{home}/mine.json"),
        ("/etc/mine.json", "/etc/mine.json", "/etc/mine.json"),
        ("devcluster", "devcluster", "devcluster"),
    ],
)
def test_a_profile_counts_from_where_it_is_said(
    given: str, of_file: str, of_command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the configuration from the folder of that file, on the command line from the current folder."""
    places = {name: str(tmp_path / name) for name in ("file", "here", "home")}
    for folder in places.values():
        Path(folder).mkdir()
    monkeypatch.chdir(places["here"])
    monkeypatch.setenv("HOME", places["home"])
    path = write(tmp_path / "file", {"cluster": {"profile": given}})
    assert load_config(path).cluster.profile == of_file.format(**places)
    overrides = cluster_overrides(None, None, None, given, None)
    assert load_config(path, overrides).cluster.profile == of_command.format(**places)


def test_the_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = load_config(write(tmp_path, {"data": {"pairs": "~/p.csv"}, "encoder": {"weights": "~/w"}}))
    assert config.data.pairs == str(tmp_path / "home" / "p.csv")
    assert config.encoder.weights == str(tmp_path / "home" / "w")


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, {"train": {"zero_stage": 1, "epochs": 4}})
    overrides = {"train.zero_stage": 3, "train.epochs": None, "data.columns.label": "y", "run.name": "other"}
    config = load_config(path, overrides)
    assert (config.train.zero_stage, config.train.epochs) == (3, 4)
    assert config.data.columns.label == "y"
    assert config.run_folder == tmp_path / "runs" / "other"
    assert load_config(path, {"run.folder": "here"}).run_folder == tmp_path / "here" / "run"


def test_wrong_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, {"train": 3})
    assert "train: must be an object" in message(load_config, path, {"train.epochs": 1})
    path = write(tmp_path, {})
    assert "unknown key 'train.spam'" in message(load_config, path, {"train.spam": 1})
    assert message(load_config, path, {"train.epochs": 0}).startswith("the command line: train.epochs: ")
