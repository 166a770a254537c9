"""`snw-dist init`: the file that it writes, and that it overwrites nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from launch import init
from snw_dist.config_file import load_config
from snw_dist.schema import schema_text
from tests.kit.own_files import NUMBERS, PAIRS, sides, table

TINY = ["--set", "encoder.name=esmc-tiny-random"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    sides(tmp_path)
    rows = [(p, r, value) for (p, r), value in zip(PAIRS, NUMBERS, strict=True)]
    table(tmp_path / "t.csv", ["pep", "rec", "score"], rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/bin/snw-dist"])
    return tmp_path


def test_it_writes_comments_and_the_schema_and_says_what_comes_next(folder: Path) -> None:
    done = CliRunner().invoke(init.app, [*TINY, "--run", "mine"])
    assert done.exit_code == 0, done.output
    values = json.loads((folder / "SNW_config.json").read_text())
    assert values["$schema"] == "./SNW_config.schema.json"
    assert (folder / "SNW_config.schema.json").read_text() == schema_text()
    assert values["data"]["columns"]["// ligand"] == "96 of 96 cells are ids of b.fa.gz"
    config = load_config(folder / "SNW_config.json")
    assert (config.run.name, config.data.columns.label) == ("mine", "score")
    assert [line.strip() for line in done.output.splitlines()[-4:]] == [
        f"snw-dist {step}" for step in ("prepare", "embed", "train", "evaluate")
    ]


def test_it_overwrites_nothing(folder: Path) -> None:
    (folder / "SNW_config.json").write_text("{}")
    (folder / "SNW_config.schema.json").write_text("mine")
    done = CliRunner().invoke(init.app, TINY)
    assert "SNW_config.json: is there already, and is not overwritten. Remove it, or give --config" in str(
        done.exception
    )
    (folder / "sub").mkdir()
    done = CliRunner().invoke(init.app, [*TINY, "--config", "sub/mine.json"])
    assert done.exit_code == 0
    assert "snw-dist prepare --config sub/mine.json" in done.output
    assert load_config(folder / "sub" / "mine.json").data.pairs == str(folder / "t.csv")
    assert (folder / "SNW_config.json").read_text() == "{}"
    assert (folder / "SNW_config.schema.json").read_text() == "mine"
    assert "there is no folder" in str(CliRunner().invoke(init.app, ["--config", "no/mine.json"]).exception)


def test_settings_that_do_not_go_together_are_refused_before_anything_is_written(folder: Path) -> None:
    done = CliRunner().invoke(init.app, [*TINY, "--set", "train.epoch=3"])
    assert "unknown key 'train.epoch'" in str(done.exception)
    assert not list(folder.glob("SNW_config*"))
