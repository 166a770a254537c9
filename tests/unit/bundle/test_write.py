"""What a bundle holds: the export of each member as it is, and nothing that tells of the place where it was made."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hpc.errors import InputError
from snw_dist import PairScorer
from snw_dist.bundle.read import open_bundle
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.store.header import read_header
from snw_dist.predict.calibration import load_calibration
from tests.kit.bundle_tools import bundled, compared_folds, measured_run


def test_members_are_the_exports(run: SnwConfig, made: Path) -> None:
    for name in ("model.safetensors", "manifest.json", "calibration.json"):
        assert (made / "members" / "tiny" / name).read_bytes() == (run.run_folder / "export" / name).read_bytes()
    says = open_bundle(made).says
    assert says.mean is None
    assert says.rows.sha256 == read_header(run.store_path).rows_digest
    assert says.rows.dtype == "float16"


def test_training_sequences_are_those_of_the_training_pairs(run: SnwConfig, made: Path) -> None:
    prepared, found = load_prepared(run.data_folder), json.loads((made / "trained_on.json").read_text())
    train = prepared.pairs[prepared.pairs["split"] == "train"]
    assert found["ligands"] == sorted({prepared.ligands[name] for name in train["ligand_id"]})
    assert found["receptors"] == sorted({prepared.receptors[name] for name in train["receptor_id"]})


def test_nothing_tells_of_the_place_where_it_was_made(run: SnwConfig, made: Path) -> None:
    place = str(Path(run.run.folder).parent).encode()
    assert not [path for path in made.rglob("*") if path.is_file() and place in path.read_bytes()]
    settings = json.loads((made / "config.json").read_text())
    assert settings["data"]["pairs"] == "pairs.csv"
    assert settings["run"] == {"name": "tiny", "seed": 1}


def test_made_again_it_has_the_same_bytes(run: SnwConfig, made: Path, tmp_path: Path) -> None:
    assert open_bundle(bundled(run, tmp_path / "again")).sha256 == open_bundle(made).sha256


def test_licences_are_those_of_the_configuration(run: SnwConfig, tmp_path: Path) -> None:
    data = dataclasses.replace(run.data, license="CC BY 4.0")
    encoder = dataclasses.replace(run.encoder, license="of the maker")
    bundled(dataclasses.replace(run, data=data, encoder=encoder), tmp_path / "out")
    assert open_bundle(tmp_path / "out").says.licences == {"data": "CC BY 4.0", "encoder": "of the maker"}


def test_what_is_no_bundle_is_not_replaced(run: SnwConfig, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than a bundle"):
        bundled(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["notes.txt", "inner/bundle.json"])
def test_what_lies_in_a_bundle_is_not_lost(run: SnwConfig, tmp_path: Path, name: str) -> None:
    folder = bundled(run, tmp_path / "out")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("mine")
    with pytest.raises(InputError, match=rf"holds something else than a bundle \({name.split('/')[0]}\)"):
        bundled(run, folder)
    assert (folder / name).read_text() == "mine"


@pytest.mark.parametrize("inner", ["out/inner", "out/members/more", "tiny/export/x"])
def test_a_bundle_does_not_spoil_what_it_would_lie_in(run: SnwConfig, tmp_path: Path, inner: str) -> None:
    bundled(run, tmp_path / "out")
    shutil.copytree(run.run_folder / "export", tmp_path / "tiny" / "export")
    with pytest.raises(InputError, match="which is a bundle or an export and must stay as it is"):
        bundled(run, tmp_path / inner)
    assert not (tmp_path / inner).exists()
    open_bundle(tmp_path / "out")


def test_labels_from_scores_bring_the_way_back(tmp_path: Path) -> None:
    scores = {"term": "label", "transform": "minmax"}
    columns = {"label": "other"}
    data = {"split": {"method": "random", "clusters": "identical", "val_fraction": 0.2, "test_fraction": 0.2}}
    config = measured_run(tmp_path, data=data | {"scores": scores, "columns": columns})
    folder = bundled(config, tmp_path / "out")
    assert open_bundle(folder).says.labels.transform == "minmax"
    transform = load_prepared(config.data_folder).label_transform
    assert transform is not None
    assert json.loads((folder / "label_transform.json").read_text()) == json.loads(json.dumps(transform.to_json()))


def test_several_members_have_a_mean_with_its_own_calibration(comparison: SnwConfig, tmp_path: Path) -> None:
    folder = bundled(comparison, tmp_path / "out", "all")
    says = open_bundle(folder).says
    record = json.loads((comparison.run_folder / "compare" / "comparison.json").read_text())
    together = record["ensembles"]["all"]
    assert says.mean is not None
    assert says.mean.threshold == together["threshold"]
    assert says.mean.calibration.method == together["calibration"]["method"]
    assert json.loads((folder / "metrics.json").read_text())["mean"]["splits"] == together["splits"]
    for name, member in says.members.items():
        own = load_calibration(folder / "members" / name)
        assert own == load_calibration(comparison.run_folder.with_name(member.run) / "export")
        assert member.threshold == record["models"][member.network]["each"][member.run]["threshold"]
    pairs = json.loads((folder / "parity.json").read_text())["pairs"]
    assert all(pair["scores"].keys() == says.members.keys() for pair in pairs)
    assert np.isfinite([list(pair["scores"].values()) for pair in pairs]).all()


def test_members_of_all_folds(tmp_path: Path) -> None:
    """Each pair of validation counts with the members that have not learned from it, and any pair is scored by all."""
    config = compared_folds(tmp_path, ["siamese"], [1, 2])
    folder = bundled(config, tmp_path / "out", "all")
    says = open_bundle(folder).says
    assert list(says.members) == [f"fold{fold}-siamese-{seed}" for fold in range(3) for seed in (1, 2)]
    assert {member.fold for member in says.members.values()} == {f"tiny-fold{fold}" for fold in range(3)}
    assert says.mean is not None
    pairs = json.loads((folder / "parity.json").read_text())["pairs"]
    assert {len(pair["scores"]) for pair in pairs} == {2}
    assert {name for pair in pairs for name in pair["scores"]} == says.members.keys()
    sequences = json.loads((folder / "trained_on.json").read_text())
    assert len(sequences["ligands"]) == 20, "each is in train in some fold"
    scores = PairScorer.load(folder).score("SIINFEKL", "ACDEFGH")
    assert scores.members.keys() == says.members.keys()
    probabilities = [values[0] for values in scores.probabilities.values()]
    assert scores.score[0] == pytest.approx(np.mean(probabilities))
    assert scores.probability[0] == says.mean.calibration.calibration(scores.score)[0]


def test_what_another_keeps_beside_a_bundle_stays(run: SnwConfig, tmp_path: Path) -> None:
    """A repository that was cloned from the hub, and is written anew."""
    folder = bundled(run, tmp_path / "out")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("theirs")
    (folder / "old.json").write_text("{}")
    bundled(run, folder)
    assert (folder / ".git" / "config").read_text() == "theirs"
    assert not (folder / "old.json").exists()
    assert open_bundle(folder).says.name == "tiny"
