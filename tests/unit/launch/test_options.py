"""What all commands share on their command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hpc.errors import InputError
from launch import compare, doctor, embed, evaluate, prepare, status, train
from snw_dist.command import keys_named, values_of
from snw_dist.config_file import load_config
from tests.kit.tiny import write_project

COMMANDS = {"compare": compare, "doctor": doctor, "embed": embed, "evaluate": evaluate, "prepare": prepare}
COMMANDS |= {"status": status, "train": train}


def _told(name: str, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(COMMANDS[name].app, list(arguments))
    return done.exit_code, done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_h_is_help_and_every_command_can_set_any_key(name: str) -> None:
    code, text = _told(name, "-h")
    assert code == 0
    assert "--set KEY=VALUE" in text
    assert text == _told(name, "--help")[1]


@pytest.mark.parametrize(
    ("name", "option", "wanted"),
    [
        ("train", "--epochs", "--set train.epochs=VALUE"),
        ("train", "--learning-rat", "--set train.learning_rate=VALUE"),
        ("train", "--train.epochs", "--set train.epochs=VALUE"),
        ("train", "--precison", "--precision"),
        ("prepare", "--fraction", "No such option: --fraction"),
        ("prepare", "--confg", "--config"),
        ("evaluate", "--bootstrap", "--set evaluate.bootstrap=VALUE"),
    ],
)
def test_an_option_that_is_not_there_names_what_is_meant(name: str, option: str, wanted: str) -> None:
    code, text = _told(name, option, "5")
    assert code == 2
    assert wanted in " ".join(text.split())
    assert "--detach" not in text


def test_an_option_that_is_no_setting_is_not_blamed_for_a_wrong_value(tmp_path: Path) -> None:
    (tmp_path / "SNW_config.json").write_text("{}")
    arguments = ["--config", str(tmp_path / "SNW_config.json"), "--detach", "--allow-changes", "--zero", "4"]
    done = CliRunner().invoke(train.app, arguments)
    assert str(done.exception).startswith("--zero: train.zero_stage: ")


def test_one_key_of_several_sections() -> None:
    assert keys_named("--seed") == ["run.seed", "data.split.seed"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("train.epochs=5", 5),
        ("run.name=a=b", "a=b"),
        ("run.name=tryout", "tryout"),
        ('run.name="5"', "5"),
        ("encoder.layer=[0,-1]", [0, -1]),
        ("store.path=null", None),
        ("train.learning_rate=1e-4", 1e-4),
        ("run.name=", ""),
        ("train.learning_rate=NaN", "NaN"),
    ],
)
def test_a_value_is_json_or_else_text(text: str, value: Any) -> None:
    assert values_of([text]) == {text.partition("=")[0]: value}


@pytest.mark.parametrize("text", ["", "=", "=5", "train.epochs"])
def test_what_is_no_setting_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give a key of the configuration and its value"):
        values_of([text])


def test_set_is_as_if_it_stood_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "SNW_config.json"
    path.write_text(json.dumps({"store": {"path": "a.zarr"}, "train": {"epochs": 0}}))
    with pytest.raises(InputError, match=r"SNW_config\.json: train\.epochs"):
        load_config(path)
    mended = load_config(
        path, {"train.zero_stage": None}, {"train.epochs": 3, "store.path": None, "data.pairs": "p.csv"}
    )
    assert (mended.train.epochs, mended.store.path) == (3, None)
    assert mended.data.pairs == str(tmp_path / "p.csv")
    path.write_text("{}")
    for exact in ({"nothing": 1}, {"run.name.x": 1}, {"train": 5}, {"a.b.c": 1}):
        with pytest.raises(InputError) as caught:
            load_config(path, {}, exact, "--set")
        assert "SNW_config.json" not in str(caught.value)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_configuration_is_printed_as_it_would_be_used(name: str, tmp_path: Path) -> None:
    file = tmp_path / "SNW_config.json"
    file.write_text('{"data": {"pairs": "p.csv"}, "// no": 1}')
    given = ["--config", str(file), "--print-config", "--set", "train.learning_rate=1e-4", "--run", "here"]
    code, text = _told(name, *given, *(["--models", "siamese"] if name == "compare" else []))
    assert code == 0
    found = json.loads(text)
    assert (found["train"]["learning_rate"], found["run"]["name"]) == (1e-4, "here")
    assert (found["data"]["pairs"], found["train"]["epochs"]) == (str(tmp_path / "p.csv"), 20)
    file.write_text(text)
    assert json.loads(_told(name, *given, *(["--models", "siamese"] if name == "compare" else []))[1]) == found
    assert [path.name for path in tmp_path.iterdir()] == ["SNW_config.json"]


def test_what_prepare_was_given_is_printed_too(tmp_path: Path) -> None:
    write_project(tmp_path, store=False)
    file = str(tmp_path / "SNW_config.json")
    assert _told("prepare", "--config", file, "--split-seed", "7")[0] == 0
    assert json.loads(_told("train", "--config", file, "--print-config")[1])["data"]["split"]["seed"] == 7
