"""SNW_config.json: what is refused, and how it is said."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc.errors import InputError
from launch._submit import cluster_overrides
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.config_file import load_config
from tests.kit.hostile import bounded, mutated
from tests.kit.hostile_text import changed

ROOT = Path(__file__).parents[2]


def write(folder: Path, values: Any) -> Path:
    path = folder / "SNW_config.json"
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def message(call: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_projects_own_file_is_legal() -> None:
    config = load_config(ROOT / "SNW_config.json")
    assert Path(config.data.pairs).is_file()
    assert config.run_folder == ROOT / "runs" / "demo"
    assert config.store_path == config.run_folder / "store.zarr"
    assert config.data_folder == config.run_folder / "data"


def test_nothing_given_is_all_defaults(tmp_path: Path) -> None:
    assert config_from_dict({}) == SnwConfig()
    assert config_from_dict(config_to_dict(load_config(write(tmp_path, {})))) == load_config(write(tmp_path, {}))


SECTIONS = [field.name for field in dataclasses.fields(SnwConfig)]


def test_an_unknown_section_names_the_legal_ones() -> None:
    text = message(config_from_dict, {"trian": {}}, "my.json")
    assert text == f"my.json: unknown key 'trian'; legal here: {', '.join(SECTIONS)}."


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_names_the_legal_ones_of_its_section(section: str) -> None:
    legal = [field.name for field in dataclasses.fields(getattr(SnwConfig(), section))]
    text = message(config_from_dict, {section: {"spam": 1}}, "my.json")
    assert text == f"my.json: unknown key '{section}.spam'; legal here: {', '.join(legal)}."


def test_an_unknown_key_two_levels_down() -> None:
    text = message(config_from_dict, {"data": {"columns": {"score": "x"}}}, "my.json")
    legal = "ligand, receptor, label, binary, split, inequality, decoy, score_file"
    assert text == f"my.json: unknown key 'data.columns.score'; legal here: {legal}."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"split": {"method": "random", "folds": 5, "fold": 5}}, "data.split: data.split.fold 5 is not one of 0 to 4"),
        ({"split": {"method": "random", "fold": 1}}, "data.split: data.split.fold 1 needs data.split.folds"),
        ({"split": {"folds": 5}}, "data.split: data.split.folds are made, so data.split.method cannot be column"),
        ({"scores": {"term": "a", "description": "("}}, "data.scores: description is not a regular expression: "),
        (
            {"scores": {"term": "a", "description": "(?P<ligand>.)"}},
            "data.scores: description must have the named groups",
        ),
        (
            {"scores": {"transform": "log_affinity", "per_receptor": True}},
            "data.scores: data.scores.per_receptor has no meaning for",
        ),
        ({"scores": {"term": "a"}, "negatives": "derangement"}, "data: negatives that are made have no score"),
        (
            {"columns": {"inequality": "i"}},
            "data: data.columns.inequality needs data.scores.term and data.scores.transform",
        ),
        ({"columns": {"score_file": "f"}}, "data: decoys need data.scores.term"),
    ],
)
def test_settings_that_contradict_each_other(data: dict[str, Any], reason: str) -> None:
    assert message(config_from_dict, {"data": data}, "my.json").startswith(f"my.json: {reason}")


def test_the_split_may_have_a_seed_of_its_own() -> None:
    assert config_from_dict({"run": {"seed": 3}}).split_seed == 3
    assert config_from_dict({"run": {"seed": 3}, "data": {"split": {"seed": 0}}}).split_seed == 0


def test_all_mistakes_are_told_at_once() -> None:
    text = message(config_from_dict, {"run": {"seed": -1}, "train": {"epochs": 0, "lr": 1}, "spam": 1})
    lines = text.splitlines()
    assert len(lines) == 4
    for key in ("run.seed", "train.epochs", "train.lr", "spam"):
        assert sum(key in line for line in lines) == 1


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("run", "name", "../elsewhere"),
        ("run", "name", ""),
        ("run", "name", "a b"),
        ("run", "name", "a\nb"),
        ("run", "seed", 2**32),
        ("run", "seed", "one"),
        ("run", "folder", 3),
        ("data", "pairs", None),
        ("data", "columns", "label"),
        ("data", "on_invalid", "ignore"),
        ("data", "negatives", "random"),
        ("data", "min_length", 0),
        ("encoder", "name", "esm2"),
        ("encoder", "sha256", "abc"),
        ("encoder", "tokens_per_batch", 0),
        ("encoder", "layer", 1.5),
        ("encoder", "precision", "fp16"),
        ("store", "dtype", "float64"),
        ("store", "chunk_rows", 0),
        ("model", "name", "unet"),
        ("model", "dropout", 1),
        ("model", "margin", 0),
        ("train", "zero_stage", 4),
        ("train", "zero_stage", "2"),
        ("train", "precision", "fp64"),
        ("train", "learning_rate", 0),
        ("train", "learning_rate", float("nan")),
        ("train", "max_steps", 0),
        ("train", "monitor", "f1"),
        ("evaluate", "controls", "maybe"),
        ("evaluate", "controls", True),
        ("cluster", "cluster", "pbs"),
        ("cluster", "nodes", 0),
        ("cluster", "time_min", []),
    ],
)
def test_a_wrong_value_is_named(section: str, key: str, value: Any) -> None:
    text = message(config_from_dict, {section: {key: value}}, "my.json")
    assert text.startswith(f"my.json: {section}.{key}: ")
    assert f"(got {value!r})" in text


def test_a_section_that_is_no_object() -> None:
    assert "my.json: train: " in message(config_from_dict, {"train": 3}, "my.json")


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


def numbers(kind: Any = SnwConfig) -> list[tuple[str, str]]:
    """All settings that are numbers."""
    sections = [field for field in dataclasses.fields(kind) if dataclasses.is_dataclass(_type(kind, field.name))]
    found = []
    for section in sections:
        inner = _type(kind, section.name)
        found += [
            (section.name, field.name)
            for field in dataclasses.fields(inner)
            if {int, float} & {_bare(part) for part in (_type(inner, field.name), *get_args(_type(inner, field.name)))}
        ]
        found += [(f"{section.name}.{a}", b) for a, b in numbers(inner)]
    return found


def _type(kind: Any, name: str) -> Any:
    return get_type_hints(kind)[name]


def _bare(kind: Any) -> Any:
    return get_origin(kind) or kind


@pytest.mark.parametrize("value", [2**63, 2**64, -(2**63), 10**30, 1e300, -1e300])
@pytest.mark.parametrize(("section", "key"), numbers())
def test_no_number_is_without_a_limit(section: str, key: str, value: float) -> None:
    values: dict[str, Any] = {key: value}
    for name in reversed(section.split(".")):
        values = {name: values}
    with pytest.raises(InputError, match=rf"{section}\.{key}: "):
        config_from_dict(values)


@pytest.mark.parametrize("text", ["a\0b", "\0", "a\nb", "\ud800", "\x1b[0m"])
@pytest.mark.parametrize("key", ["run.folder", "data.pairs", "data.columns.label", "store.path", "encoder.weights"])
def test_texts_that_can_be_no_path_and_no_name(key: str, text: str, tmp_path: Path) -> None:
    values: Any = text
    for name in reversed(key.split(".")):
        values = {name: values}
    assert f"{key}: control characters" in message(load_config, write(tmp_path, json.dumps(values)))


@pytest.mark.parametrize("pattern", ["a{99999999999}(?P<ligand>x)", "(" * 20_000, "(?P<ligand>x"])
def test_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(InputError, match="description"):
        config_from_dict({"data": {"scores": {"term": "x", "description": pattern}}})


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


def test_round_trip_through_json_and_pickle() -> None:
    config = config_from_dict(
        {
            "run": {"name": "a.b-c", "seed": 7},
            "data": {"columns": {"binary": "hit"}, "split": {"method": "random", "folds": 4, "seed": 2}},
            "train": {"zero_stage": 3, "max_steps": 5},
            "cluster": {"tasks_per_node": 2},
        }
    )
    plain = config_to_dict(config)
    assert config_from_dict(plain) == config
    assert config_from_dict(json.loads(json.dumps(plain))) == config
    assert config_from_dict(pickle.loads(pickle.dumps(plain))) == config


def test_a_configuration_does_not_change() -> None:
    config = config_from_dict({})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.train.epochs = 3  # type: ignore[misc]
