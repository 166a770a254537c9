"""`snw-dist NAME` is `launch/NAME.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import typer

from launch import _cli, _console
from tests.kit.tiny import write_project

LAUNCHERS = {file.stem for file in Path(_console.__file__).parent.glob("[!_]*.py")}


def ran(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        _cli.main(lambda: _console.app(list(words), prog_name="snw-dist"))
    return int(end.value.code or 0)


def test_every_launcher_is_one_of_its_commands() -> None:
    assert set(_console.NAMES) == LAUNCHERS
    for name in LAUNCHERS:
        own = typer.main.get_command(__import__(f"launch.{name}", fromlist=["app"]).app)
        found = _console.app.get_command(None, name)
        assert [param.opts for param in found.params] == [param.opts for param in own.params]
        assert found.callback.__name__ == own.callback.__name__  # type: ignore[union-attr]


def test_it_takes_the_configuration_of_the_folder_and_ends_with_the_code_of_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ran("prepare") == 2
    assert capsys.readouterr().err.startswith("error: SNW_config.json: no such file.")
    write_project(tmp_path, store=False)
    assert ran("prepare", "--set", "run.name=here") == 0
    assert (tmp_path / "runs" / "here" / "data").is_dir()
    assert ran("prepare", "--epochs", "3") == 2
    assert "--set train.epochs=VALUE" in capsys.readouterr().err
    assert ran("prepar") == 2
    assert "No such command 'prepar'. Did you mean 'prepare'" in capsys.readouterr().err


def test_the_help_says_of_each_command_a_whole_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert ran("--help") == 0
    commands = capsys.readouterr().out.partition("Commands:")[2]
    assert "..." not in commands
    assert "say\n            why, and write them." in commands


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("tra",), ["train"]),
        (("train", "--zer"), ["--zero"]),
        (("train", "--set", "train.ep"), ["train.epochs="]),
        (("ini",), ["init"]),
    ],
)
def test_a_shell_completes_commands_options_and_settings(
    words: tuple[str, ...], found: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SNW_DIST_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(("snw-dist", *words)))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    assert ran() == 0
    assert capsys.readouterr().out.split() == found


def test_a_missing_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    assert ran("train") == 4
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not installed: deepspeed. Install what this command needs, in ")
    assert line.endswith('pip install ".[train]"')


@pytest.mark.parametrize(
    ("started", "words"),
    [
        ("launch/train.py", ["python", "launch/evaluate.py"]),
        ("/a b/launch/train.py", ["python", "/a b/launch/evaluate.py"]),
        ("/usr/bin/snw-dist", ["snw-dist", "evaluate"]),
    ],
)
def test_the_next_command_is_named_as_this_one_was(
    started: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    assert _cli.started_as("evaluate") == words
