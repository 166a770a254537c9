"""The schema for editors is that of the dataclasses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hpc.disk.strict import dotted_keys
from snw_dist import schema
from snw_dist.config import SnwConfig
from snw_dist.config_file import load_config

ROOT = Path(__file__).resolve().parents[2]


def keys(made: dict[str, Any], section: dict[str, Any], before: str = "") -> list[str]:
    found = []
    for name, value in section["properties"].items():
        inner = made["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else None
        found += keys(made, inner, f"{before}{name}.") if inner else [before + name]
    return found


def test_the_file_is_up_to_date() -> None:
    text = (ROOT / "snw_dist" / schema.SCHEMA_FILE).read_text(encoding="utf-8")
    assert text == schema.schema_text(), "python -m snw_dist.schema"


def test_it_has_every_key_and_no_other_but_comments() -> None:
    made = schema.schema()
    assert keys(made, made) == ["$schema", *dotted_keys(SnwConfig)]
    for section in [made, *made["$defs"].values()]:
        assert section["additionalProperties"] is False
        assert list(section["patternProperties"]) == ["^//"]


def test_the_projects_own_file_names_it() -> None:
    path = ROOT / "SNW_config.json"
    assert (ROOT / json.loads(path.read_text())["$schema"]).samefile(ROOT / "snw_dist" / schema.SCHEMA_FILE)
    load_config(path)
