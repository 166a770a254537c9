"""What the controls say comes from the bundle, and is in the result."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from snw_dist.bundle.read import Bundle
from snw_dist.screen.asked import Asked
from snw_dist.screen.controls import controls_of, lines_of
from snw_dist.screen.result import summary
from tests.kit.screen_tools import screened


def test_the_result_has_the_figures_of_the_bundle(asked: Asked) -> None:
    folder = screened(asked)
    figures = json.loads((Path(asked.bundle) / "metrics.json").read_text())
    said = json.loads((folder / "result.json").read_text())["controls"]
    assert said["sentences"] == figures["sentences"]
    [member] = figures["members"].values()
    assert said["auroc"]["test"]["network"] == member["splits"]["test"]["metrics"]["auroc"]["value"]
    assert all(line in summary(folder) for line in lines_of(said))


def test_it_is_the_mean_where_there_is_one_and_every_control() -> None:
    def measured(value: float | None) -> dict[str, Any]:
        return {"splits": {"test": {"metrics": {"auroc": {"value": value}}}}}

    figures = {"mean": measured(0.9), "members": {"a": measured(0.8)}, "splits": {"test": {}, "other": {}}}
    controls = {"ligand": measured(0.7), "noise": measured(None)}
    bundle = cast(Bundle, SimpleNamespace(read_json=lambda name: figures | {"controls": controls, "sentences": ["x"]}))
    assert controls_of(bundle) == {
        "auroc": {
            "test": {"network": 0.9, "ligand": 0.7, "noise": None},
            "other": {"network": None, "ligand": None, "noise": None},
        },
        "sentences": ["x"],
    }


def test_lines_leave_out_validation_and_what_was_not_measured() -> None:
    auroc = {"val": {"network": 0.9, "ligand": 0.8}, "test": {"network": 0.9113, "ligand": 0.7451, "noise": 0.5}}
    said = {"auroc": {**auroc, "few": {"network": None}}, "sentences": ["test: as the best control.", "val: better."]}
    assert list(lines_of(said)) == [
        "test, AUROC: the network 0.911, the ligand alone 0.745",
        "test: as the best control.",
    ]
