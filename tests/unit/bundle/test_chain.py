"""From a bundle back to the data, as far as the parts are there."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.bundle import chain
from snw_dist.bundle.chain import walk_chain
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import read_summary
from snw_dist.evaluate import report
from snw_dist.evaluate.run import evaluate_run
from tests.kit.bundle_tools import as_trained, bundled
from tests.kit.tiny import configured


def states(folder: Path, config: SnwConfig) -> dict[str, str]:
    lines = [line.split(": ") for line in walk_chain(folder, config)]
    return {parts[1]: parts[2] for parts in lines if len(parts) == 3}


def test_without_the_run_the_bundle_alone_is_checked(run: SnwConfig, made: Path, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(run, run=dataclasses.replace(run.run, folder=str(tmp_path)))
    lines = list(walk_chain(made, elsewhere))
    assert len(lines) == 2
    assert "is not there, so there is nothing more to compare" in lines[1]


def test_every_link_that_is_there(run: SnwConfig, made: Path) -> None:
    found = states(made, run)
    assert found["checkpoint"] == found["record of the training pairs"] == "not there"
    assert {found[name] for name in ("export", "store", "split", "data.ligands", "data.pairs")} == {"as it was"}


def test_sequences_of_the_pair_table_are_no_file(run: SnwConfig, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_table(folder: Path) -> dict[str, Any]:
        summary = read_summary(folder)
        del summary["made_from"]["inputs"]["ligands"]
        return summary

    monkeypatch.setattr(chain, "read_summary", in_table)
    found = states(made, run)
    assert "data.ligands" not in found
    assert found["data.receptors"] == found["data.pairs"] == "as it was"


def test_what_has_been_replaced_since_breaks_the_chain(run: SnwConfig, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(run.run.folder).parent, tmp_path / "project")
    config = configured(tmp_path / "project")
    (tmp_path / "project" / "runs" / "tiny" / "config.json").unlink()
    as_trained(dataclasses.replace(config, run=dataclasses.replace(config.run, seed=8)))
    with (tmp_path / "project" / "ligands.fasta").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match=r"not made from what is there now: tiny: export \(.*; tiny: data.ligands"):
        list(walk_chain(bundle, config))


def test_a_damaged_bundle_is_refused_first(run: SnwConfig, bundle: Path) -> None:
    (bundle / "metrics.json").unlink()
    with pytest.raises(CorruptError, match=r"metrics\.json: missing"):
        next(walk_chain(bundle, run))


def test_a_run_that_was_really_trained_and_then_moved(copy: Path, tmp_path: Path) -> None:
    """The checkpoint and the record of the training pairs are links too; the settings of the run name the old place."""
    config = configured(copy)
    with patch.object(report, "_pictures", lambda *_: {}):
        evaluate_run(config)
    folder = bundled(config, tmp_path / "handed on")
    copy.rename(tmp_path / "moved")
    found = states(folder, configured(tmp_path / "moved"))
    links = ("export", "checkpoint", "store", "record of the training pairs", "split", "data.pairs")
    assert {link: found[link] for link in links} == dict.fromkeys(links, "as it was")
