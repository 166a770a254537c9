"""The examples that people copy run as they stand: that of the README, and that of a model card."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_the_example_of_the_readme(made: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(made.parent)
    names: dict[str, Any] = {}
    [example] = blocks((ROOT / "snw_dist" / "scoring" / "README.md").read_text(encoding="utf-8"))
    exec(compile(example, "README.md", "exec"), names)
    assert names["scores"].probability.shape == (2,)
    assert names["best"]["place"].tolist() == [1, 2]
    assert "snw_probability" in capsys.readouterr().out


def test_the_example_of_a_model_card(made: Path, capsys: Any) -> None:
    [example] = blocks((made / "README.md").read_text(encoding="utf-8"))
    exec(compile(example.replace("FOLDER", str(made)), "README.md", "exec"), {})
    assert re.fullmatch(r"\[[\d.]+\]\n", capsys.readouterr().out)
