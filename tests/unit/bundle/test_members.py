"""Which runs become members, and what is refused because it was not trained or measured."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.bundle.members import chosen_members
from snw_dist.config import SnwConfig
from tests.kit.bundle_tools import as_trained


@pytest.fixture
def copy(run: SnwConfig, tmp_path: Path) -> SnwConfig:
    """A measured run that a test may change; its data and store stay where they are."""
    shutil.copytree(run.run_folder, tmp_path / run.run.name)
    return dataclasses.replace(run, run=dataclasses.replace(run.run, folder=str(tmp_path)))


def refusal(config: SnwConfig, choice: str | None = None) -> str:
    with pytest.raises((InputError, CorruptError)) as caught:
        chosen_members(config, choice)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_with_what_was_measured_of_it(run: SnwConfig) -> None:
    chosen = chosen_members(run, None)
    [member] = chosen.members
    assert (member.name, member.fold) == ("tiny", None)
    assert member.splits["test"]["metrics"].keys() >= {"auroc", "auprc"}
    assert list(chosen.measured["controls"]) == ["degree"]
    assert len(member.predictions) == 48
    assert member.predictions["ligand"].isin(set(member.prepared.ligands.values())).all()


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("all", ["siamese-1", "siamese-2", "triplet-1", "triplet-2"]),
        ("triplet", ["triplet-1", "triplet-2"]),
        ("siamese-2", ["siamese-2"]),
        ("triplet-1,siamese-1", ["siamese-1", "triplet-1"]),
        ("tiny-siamese-1,siamese", ["siamese-1", "siamese-2"]),
    ],
)
def test_members_of_a_comparison(comparison: SnwConfig, choice: str, names: list[str]) -> None:
    assert [member.name for member in chosen_members(comparison, choice).members] == names


def test_the_best_network_is_the_one_that_is_best_on_validation(comparison: SnwConfig) -> None:
    record = json.loads((comparison.run_folder / "compare" / "comparison.json").read_text())
    values = {name: model["splits"]["val"]["metrics"]["auroc"]["value"] for name, model in record["models"].items()}
    best = max(values, key=values.__getitem__)
    found = chosen_members(comparison, "best").members
    assert [member.name for member in found] == [f"{best}-1", f"{best}-2"]


def test_a_name_that_is_not_there_is_told_with_those_that_are(comparison: SnwConfig) -> None:
    text = refusal(comparison, "siamese,siam")
    assert text.startswith("--members siamese,siam: no siam in the comparison of tiny: it has siamese, triplet, tiny-")


def test_a_comparison_alone_asks_which_of_it(comparison: SnwConfig) -> None:
    assert "--members all" in refusal(comparison)


def test_what_is_not_there_is_told_with_the_command_that_makes_it(copy: SnwConfig) -> None:
    assert "snw-dist compare" in refusal(copy, "all")
    shutil.rmtree(copy.run_folder / "evaluation")
    assert refusal(copy).endswith("Measure it: snw-dist evaluate --run tiny")
    (copy.run_folder / "config.json").unlink()
    shutil.rmtree(copy.run_folder / "export")
    assert refusal(copy).endswith("/tiny: not trained yet. Train it: snw-dist train --run tiny")
    nobody = dataclasses.replace(copy, run=dataclasses.replace(copy.run, folder=str(copy.run_folder / "nowhere")))
    assert "no such run: there is none." in refusal(nobody)


def test_other_weights_than_were_measured(copy: SnwConfig) -> None:
    seed = dataclasses.replace(copy.run, seed=5)
    as_trained(dataclasses.replace(copy, run=seed, data=dataclasses.replace(copy.data, folder=str(copy.data_folder))))
    assert "other weights by now than those that were measured" in refusal(copy)


def test_damaged_records(copy: SnwConfig) -> None:
    file = copy.run_folder / "evaluation" / "metrics.json"
    for text in ("{}", "[]", "{", '{"model": 3, "provenance": {"weights_sha256": 1}, "comparison": {}}'):
        file.write_text(text)
        assert str(file) in refusal(copy)


def test_lost_predictions(copy: SnwConfig) -> None:
    (copy.run_folder / "evaluation" / "predictions.parquet").unlink()
    assert "the scores of this run are not there" in refusal(copy)


def test_data_that_were_prepared_otherwise_since(run: SnwConfig, tmp_path: Path) -> None:
    """The sequences of the training pairs would be those of others."""
    from snw_dist.data.prepare import prepare

    shutil.copytree(run.run_folder, tmp_path / "tiny")
    settings = json.loads((tmp_path / "tiny" / "config.json").read_text())
    settings["run"]["folder"], settings["data"]["split"]["seed"] = str(tmp_path), 9
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(settings))
    moved = dataclasses.replace(run, run=dataclasses.replace(run.run, folder=str(tmp_path)))
    split = dataclasses.replace(moved.data.split, seed=9)
    prepare(dataclasses.replace(moved, data=dataclasses.replace(moved.data, split=split)))
    assert "not the pairs that tiny was trained on" in refusal(moved)
