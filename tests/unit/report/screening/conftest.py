"""A screen of a tiny bundle, with and without a promise; made once, and no test changes it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from snw_dist.data.prepared import load_prepared
from snw_dist.evaluate.measure.held_out import pairs_of
from snw_dist.screen import preflight
from snw_dist.screen.asked import Asked
from tests.kit.bundle_tools import bundled, measured_run, with_model
from tests.kit.screen_tools import SMALL, screened


class Screens(NamedTuple):
    plain: Path
    by_ligand: Path
    promised: Path
    known: pd.DataFrame


@pytest.fixture(scope="session")
def screens(tmp_path_factory: pytest.TempPathFactory) -> Screens:
    return made_screens(tmp_path_factory.mktemp("reported"))


def made_screens(folder: Path) -> Screens:
    """Both of the data that the bundle is made from, so that labels are known."""
    folder.mkdir(exist_ok=True)
    config = measured_run(folder, **with_model("pseudo_siamese"))
    bundle = bundled(config, folder / "bundle", calibration_split="test")
    files = {"ligands": folder / "ligands.fasta", "receptors": folder / "receptors.fasta"}
    with (folder / "ligands.fasta").open("a") as file:
        file.write(">bad\nSIIN*FEKL\n")
    asked = {"bundle": str(bundle), "on_invalid": "skip", **files, **SMALL}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "_TRIAL_S", 0.0)
        plain = screened(Asked(**asked, to=folder / "plain", top=5))
        by_ligand = screened(Asked(**asked, to=folder / "by_ligand", top=2, by="ligand"))
        promised = screened(Asked(**asked, to=folder / "promised", top=20, false_rate=0.9))
    return Screens(plain, by_ligand, promised, pairs_of(load_prepared(config.data_folder)))
