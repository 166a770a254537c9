"""The JSON schema of `SNW_config.json`: editors complete keys by it, show what they mean and mark mistakes.

It is made from the dataclasses. `python -m snw_dist.schema` writes the one in this folder; `snw-dist init` writes it
beside a new configuration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from snw_dist.config import SnwConfig
from snw_dist.config_file import COMMENT, SCHEMA_KEY

SCHEMA_FILE = "SNW_config.schema.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Plain data of the schema: JSON Schema, draft 2020-12, that of pydantic. Comments and `$schema` may stand."""
    made: dict[str, Any] = TypeAdapter(SnwConfig).json_schema()
    for section in [made, *made["$defs"].values()]:
        section["patternProperties"] = {f"^{COMMENT}": {"description": "A comment."}}
        for named in section["properties"].values():
            named.pop("title", None)
    made["properties"] = {SCHEMA_KEY: {"type": "string", "description": "Where this schema is."}} | made["properties"]
    return {"$schema": _DIALECT} | made | {"title": "SNW_config.json"}


def schema_text() -> str:
    """The schema as it is written."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name(SCHEMA_FILE).write_text(schema_text(), encoding="utf-8")
