"""The model card is one that the hub reads, and says what matters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard

from snw_dist.bundle.card import card
from snw_dist.bundle.format import CARD
from snw_dist.bundle.read import open_bundle
from tests.kit.bundle_tools import bundled


def content(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads((folder / "bundle.json").read_text()), json.loads((folder / "metrics.json").read_text())


def test_the_hub_reads_it(made: Path) -> None:
    found = ModelCard.load(made / CARD).data
    assert found.library_name == "snw-dist"
    assert found.license == "other"
    assert "siamese" in found.tags


def test_who_has_nothing_but_the_folder_learns_how_to_get_the_program(made: Path) -> None:
    says, text = content(made)[0], (made / CARD).read_text()
    use = text.split("## Use")[1].split("\n## ")[0]
    assert f"Install snw-dist {says['versions']['snw-dist']} or newer from its sources" in use
    assert "pip install path/to/snw-dist" in use
    assert "`snw-dist predict --bundle FOLDER pairs.csv --to scored.csv`" in use
    assert "://" not in use  # no address that nobody has given


def test_it_has_the_figures_beside_the_best_control(made: Path) -> None:
    says, figures = content(made)
    text = (made / CARD).read_text()
    auroc = figures["members"]["tiny"]["splits"]["test"]["metrics"]["auroc"]
    [line] = [line for line in text.splitlines() if line.startswith("| test ")]
    assert f"{auroc['value']:.3f} [{auroc['low']:.3f}, {auroc['high']:.3f}]" in line
    control = figures["controls"]["degree"]["splits"]["test"]["metrics"]["auroc"]["value"]
    assert line.endswith(f"degree, AUROC {control:.3f} |")
    assert says["rows"]["encoder"]["weights_sha256"] in text
    assert "random weights" in text


def test_licences_are_said_and_stay_text(made: Path) -> None:
    says, figures = content(made)
    says["licences"] = {"data": "CC BY 4.0: <b>see</b> | below", "encoder": None}
    text = card(says, figures)
    assert "- data: CC BY 4.0: &lt;b>see&lt;/b> \\| below" in text
    assert "- encoder: not given" in text
    assert ModelCard(text).data.license_name == "data: CC BY 4.0: <b>see</b> | below"


def test_one_class_in_validation_is_said(made: Path) -> None:
    says, figures = content(made)
    assert "no probability of binding" not in card(says, figures)
    figures["splits"]["val"]["num_positive"] = figures["splits"]["val"]["num_pairs"]
    assert "no probability of binding" in card(says, figures)


def test_undefined_figures_and_no_controls(made: Path) -> None:
    says, figures = content(made)
    figures["controls"] = {}
    for split in figures["members"]["tiny"]["splits"].values():
        split["metrics"]["auroc"] = {"value": None, "low": None, "high": None}
    assert "| - |" in card(says, figures)


def test_the_card_of_several_members_shows_their_mean(comparison: Any, tmp_path: Path) -> None:
    folder = bundled(comparison, tmp_path / "out", "all")
    figures = json.loads((folder / "metrics.json").read_text())
    text = (folder / CARD).read_text()
    assert f"{figures['mean']['splits']['test']['metrics']['auroc']['value']:.3f} [" in text
    assert "mean of the members' calibrated probabilities" in text
    assert all(f"| {name} |" in text for name in open_bundle(folder).says.members)
