"""Nothing becomes a value of another type, in the configuration, the profile and `--set`: every key, every type."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, Literal

import pytest

from hpc.disk.home import expanded
from hpc.disk.reading import BadFileError, parse_json
from hpc.disk.strict import dotted_keys
from hpc.errors import InputError
from hpc.job.profile import SiteProfile, load_profile
from snw_dist.command import values_of
from snw_dist.config import SnwConfig
from snw_dist.config_file import load_config

PROBES = [5, 5.0, 5.5, True, False, "5", "5.5", "true", "", " ", None, [5], ["5", True], {"a": 1}, 1e300, -1]
PATHS = ["run.folder", "data.ligands", "data.receptors", "data.pairs", "data.folder", "store.path"]
PATHS += ["encoder.weights", "cluster.profile"]


def type_of(kind: Any, key: str) -> Any:
    for part in key.split("."):
        kind = typing.get_type_hints(kind)[part]
    return kind


def accepted(kind: Any) -> set[type]:
    """The types of JSON that a key of this type may have."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return accepted(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return set[type]().union(*map(accepted, arguments))
    if origin is Literal:
        return {type(choice) for choice in arguments}
    if kind is float:
        return {int, float}
    return {origin or kind}


def nested(key: str, value: Any) -> Any:
    for name in reversed(key.split(".")):
        value = {name: value}
    return value


def wrong(kind: Any, key: str) -> list[Any]:
    legal = accepted(type_of(kind, key))
    return [v for v in PROBES if type(v) not in legal or (str in legal and isinstance(v, str) and not v.strip())]


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_types_are_found() -> None:
    assert accepted(type_of(SnwConfig, "encoder.layer")) == {int, list}
    assert accepted(type_of(SnwConfig, "data.columns.binary")) == {str, type(None)}
    assert accepted(type_of(SnwConfig, "model.dropout")) == {int, float}
    assert wrong(SnwConfig, "encoder.verify")[0] == 5


@pytest.mark.parametrize("key", dotted_keys(SnwConfig))
def test_every_key_of_the_configuration(key: str, tmp_path: Path) -> None:
    path = tmp_path / "SNW_config.json"
    for value in wrong(SnwConfig, key):
        path.write_text(json.dumps(nested(key, value)))
        said = refusal(load_config, path)
        assert said.startswith(f"{path}: {key}"), (value, said)
        assert "(got " in said
        assert "\n" not in said
        path.write_text("{}")
        given = json.dumps(value)
        said = refusal(load_config, path, None, values_of([f"{key}={given}"]), "--set")
        assert said.startswith(f"--set: {key}"), (value, said)


@pytest.mark.parametrize("key", [field.name for field in dataclasses.fields(SiteProfile)])
def test_every_key_of_the_profile(key: str, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    for value in wrong(SiteProfile, key):
        if value in ("", " ") and key == "description":
            continue
        path.write_text(json.dumps({key: value}))
        said = refusal(load_profile, str(path), tmp_path)
        assert said.startswith(f"{path}: {key}"), (value, said)
        assert "(got " in said


@pytest.mark.parametrize(
    "values",
    [
        {"environment": [{"name": "A", "value": 1, "reason": "r"}]},
        {"environment": [{"name": "A", "value": "1", "reason": ""}]},
        {"setup": ["module load", 5]},
        {"additional_parameters": {"nice": 1.5}},
        {"additional_parameters": {"nice": ""}},
        {"additional_parameters": {"nice": None}},
        {"additional_parameters": {"1": 1}},
        {"srun_args": [""]},
    ],
    ids=str,
)
def test_values_within_the_profile(values: Any, tmp_path: Path) -> None:
    path = tmp_path / "site.json"
    path.write_text(json.dumps(values))
    assert refusal(load_profile, str(path), tmp_path).startswith(f"{path}: {next(iter(values))}")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "5.0", "+5", "05", '"5"', "true", "0x10"])
def test_numbers_of_the_command_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{}")
    for key in ("train.epochs", "train.zero_stage"):
        said = refusal(load_config, tmp_path / "c.json", None, values_of([f"{key}={text}"]), "--set")
        assert said.startswith(f"--set: {key}: ")


@pytest.mark.parametrize("text", ['{"epochs": 1, "epochs": 2}', "[1,", '"a'])
def test_json_of_the_command_line_that_is_none(text: str) -> None:
    """It was taken as text."""
    assert refusal(values_of, [f"train={text}"]).startswith("--set train:1: ")


@pytest.mark.parametrize("path", ["~no-such-user", "~no-such-user/a", "~no-such-user/a.pth"])
@pytest.mark.parametrize("key", PATHS)
def test_the_home_folder_of_nobody(key: str, path: str, tmp_path: Path) -> None:
    """It ended in a traceback."""
    if key == "cluster.profile" and "/" not in path:
        path += "/x"
    file = tmp_path / "c.json"
    file.write_text(json.dumps(nested(key, path)))
    assert refusal(load_config, file).startswith(f"{file}: {key}: {path!r} begins with the home folder of nobody")
    file.write_text("{}")
    assert refusal(load_config, file, {key: path}).startswith(f"the command line: {key}: {path!r}")


def test_the_home_folder_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert expanded("~") == expanded("~/") == tmp_path / "home"
    assert expanded("a/~") == Path("a/~")
    file = tmp_path / "c.json"
    file.write_text(json.dumps({"run": {"folder": "~"}, "data": {"columns": {"label": "~x"}}}))
    config = load_config(file)
    assert (config.run.folder, config.data.columns.label) == (str(tmp_path / "home"), "~x")
    assert "home folder of nobody" in refusal(load_profile, "~no-such-user/p.json", tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,}', ":1: not valid JSON: no comma may stand before the closing } (column 9)"),
        ('{"a": [1,\n ]}', ":2: not valid JSON: no comma may stand before the closing ] (column 2)"),
        ('{\n // why\n "a": 1}', ":2: not valid JSON: comments are not allowed (column 2)"),
        ('{"a": 1 # why\n}', ":1: not valid JSON: comments are not allowed (column 9)"),
        ('{"a": /* why */ 1}', ":1: not valid JSON: comments are not allowed (column 7)"),
        ("{'a': 1}", ":1: not valid JSON: text stands in double quotes, not in single ones (column 2)"),
        ("{“a”: 1}", ':1: not valid JSON: text stands in plain double quotes ("), not in “ (column 2)'),
        ("{a: 1}", ":1: not valid JSON: the key a must stand in double quotes (column 2)"),
        ("{1: 1}", ":1: not valid JSON: the key 1 must stand in double quotes (column 2)"),
        ('{"a": True}', ":1: not valid JSON: true and false are written in lower case (column 7)"),
        ('{"a": None}', ":1: not valid JSON: nothing is written null (column 7)"),
        ('{"a": nan}', ":1: not valid JSON: nan is no number (column 7)"),
        ('{"a": "NaN", "b": NaN}', ":1: not valid JSON: NaN is no number (column 19)"),
        ('{"a": "Infinity",\n"b": -Infinity}', ":2: not valid JSON: -Infinity is no number (column 6)"),
        ('{"a": [1, 1e999]}', ":1: not valid JSON: 1e999 is too large a number (column 11)"),
        ('{"a": .5}', ":1: not valid JSON: a number begins with a digit or with -, not as .5 (column 7)"),
        ('{"a": 1', ":1: not valid JSON: it ends too early (column 8)"),
        ('{"a": }', ":1: not valid JSON: a value or key is missing before the closing } (column 7)"),
        ('{"a": 1}\n{"b": 1}', ":2: not valid JSON: something follows after its end (column 1)"),
        ('{"a": 1 "b": 2}', ":1: not valid JSON: Expecting ',' delimiter (column 9)"),
        ('{"x": "a", "a": {"a": 1},\n"a": 2}', ":2: the key 'a' comes twice (lines 1 and 2)"),
        ('[{"b": {"a": "]}"}},\n {"a\\u0062": 1,\n\n "ab": 2}]', ":4: the key 'ab' comes twice (lines 2 and 4)"),
        ('{"a": "{\\"a\\": 1", "b": "a", "a": 1}', ":1: the key 'a' comes twice (lines 1 and 1)"),
    ],
)
def test_what_is_wrong_with_a_text_that_is_no_json(text: str, said: str) -> None:
    for data in (text, text.encode(), b"\xef\xbb\xbf" + text.encode()):
        with pytest.raises(BadFileError) as caught:
            parse_json(data, "f")
        assert str(caught.value) == f"f{said}"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a":\n "\xe9"}', "f:2: not UTF-8 (byte 8). Save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "f:1: text in UTF-16. Save it as UTF-8"),
    ],
)
def test_other_encodings(data: bytes, said: str) -> None:
    with pytest.raises(BadFileError) as caught:
        parse_json(data, "f")
    assert str(caught.value) == said


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a": 1}', "f") == {"a": 1}


@pytest.mark.parametrize("key", ["a\x85b", "a\nb", "\x1b[0m", "k" * 100_000, "\ud800"], ids=lambda key: ascii(key)[:20])
@pytest.mark.parametrize("value", ["", 1, "\x00"])
def test_a_key_of_any_text_is_told_in_one_line(key: str, value: Any, tmp_path: Path) -> None:
    for kind, load in ((tmp_path / "c.json", load_config), (tmp_path / "p.json", load_any_profile)):
        for values in ({key: value}, {"run": {key: value}}, {"additional_parameters": {key: value}}):
            kind.write_text(json.dumps(values))
            said = refusal(load, kind)
            assert said.startswith(f"{kind}: ")
            assert said.isprintable()
            assert len(said) < 1_500
    text = json.dumps(key)
    with pytest.raises(BadFileError) as caught:
        parse_json(f"{{{text}: 1, {text}: 2}}", "f")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def load_any_profile(path: Path) -> SiteProfile:
    return load_profile(str(path), path.parent)


@pytest.mark.timeout(20)
def test_a_mistake_before_many_quotes_is_found_soon() -> None:
    with pytest.raises(BadFileError, match="1e999 is too large a number"):
        parse_json('{"a": 1e999abc, "' + '\\"' * 500_000, "f")
    with pytest.raises(BadFileError, match="too many digits"):
        parse_json("[" + "9" * 5_000 + '"' * 500_001, "f")
