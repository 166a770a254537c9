"""Settings: what is refused, and how it is said."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from hpc.errors import InputError
from snw_dist.config import SnwConfig, config_from_dict, config_to_dict
from snw_dist.config_file import load_config
from tests.kit.config_tools import message, write


def test_nothing_given_is_all_defaults(tmp_path: Path) -> None:
    assert config_from_dict({}) == SnwConfig()
    assert config_from_dict(config_to_dict(load_config(write(tmp_path, {})))) == load_config(write(tmp_path, {}))


SECTIONS = [field.name for field in dataclasses.fields(SnwConfig)]


def test_an_unknown_section_names_the_legal_ones() -> None:
    text = message(config_from_dict, {"trian": {}}, "my.json")
    assert text == f"my.json: unknown key 'trian'; legal here: {', '.join(SECTIONS)}. Did you mean train?"


@pytest.mark.parametrize(
    ("values", "meant"), [({"train": {"epoch": 5}}, "train.epochs"), ({"warmup_steps": 5}, "train.warmup_steps")]
)
def test_an_unknown_key_names_the_one_that_is_meant(values: dict[str, Any], meant: str) -> None:
    assert message(config_from_dict, values, "--set").endswith(f" Did you mean {meant}?")


def test_a_name_with_a_space_is_told_which_letters_it_may_have() -> None:
    text = message(config_from_dict, {"run": {"name": "my run"}}, "--set")
    assert text.endswith("(got 'my run'). The run folder is `folder/name`: letters, digits, `.`, `_` and `-`.")


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_names_the_legal_ones_of_its_section(section: str) -> None:
    legal = [field.name for field in dataclasses.fields(getattr(SnwConfig(), section))]
    text = message(config_from_dict, {section: {"spam": 1}}, "my.json")
    assert text == f"my.json: unknown key '{section}.spam'; legal here: {', '.join(legal)}."


def test_an_unknown_key_two_levels_down() -> None:
    text = message(config_from_dict, {"data": {"columns": {"score": "x"}}}, "my.json")
    legal = "ligand, receptor, ligand_sequence, receptor_sequence, label, binary, split, inequality, decoy, score_file"
    assert text == f"my.json: unknown key 'data.columns.score'; legal here: {legal}."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"split": {"method": "random", "folds": 5, "fold": 5}}, "data.split: data.split.fold 5 is not one of 0 to 4"),
        ({"split": {"method": "random", "fold": 1}}, "data.split: data.split.fold 1 needs data.split.folds"),
        ({"split": {"calibration_fraction": 0.1}}, "data.split: data.split.calibration_fraction is a share of splits"),
        (
            {"split": {"method": "random", "folds": 5, "calibration_fraction": 0.1}},
            "data.split: data.split.calibration_fraction is a share of splits that are made without folds",
        ),
        (
            {"split": {"method": "random", "val_fraction": 0.4, "test_fraction": 0.4, "calibration_fraction": 0.2}},
            "data.split: the three fractions leave no pairs for train",
        ),
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
