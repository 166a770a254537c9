"""The columns of a result: README names each of them, and a Parquet file says what each means."""

from __future__ import annotations

import re
from pathlib import Path

from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.rows import Ranking

README = Path(__file__).resolve().parents[3] / "snw_dist" / "screen" / "README.md"
_SIDES = ("ligand", "receptor", "_sequence")


def test_readme_has_every_column_and_no_other(inputs: Path) -> None:
    scorer = PairScorer.load(inputs / "bundle", device="cpu")
    every = [
        Ranking(scorer, "receptor", False, "peptides", True),
        Ranking(scorer, "receptor", True, "peptides", True),
        Ranking(scorer, "ligand", False, "peptides"),
    ]
    table = README.read_text(encoding="utf-8").split("| column | meaning |")[1].split("\n\n")[0]
    named = {name for name in re.findall(r"`(\w+)`", table) if name.startswith("snw_") or name.endswith(_SIDES)}
    names = {name for one in every for name in one.schema.names}
    assert named == names | {"snw_predicted_value"}, "the last one is only where labels were made from scores"
    for one in every:
        assert all(one.schema.field(name).metadata[b"meaning"] for name in one.schema.names)
