"""Nothing is measured on pairs that the network was trained on: `evaluate`, `compare` and ensembles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.config import SnwConfig
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.data.trained import data_digest, keys_of, pair_keys, rows_of, write_record
from snw_dist.evaluate.compare.runs import compare_runs
from snw_dist.evaluate.measurable import measurable, without_repeats
from snw_dist.evaluate.measure.held_out import pairs_of
from snw_dist.evaluate.run import evaluate_run
from tests.kit.tiny import configured, contents, launched

ORIGIN = {"inputs": {"pairs": "f" * 64}, "settings": {"data.split.seed": 1}}


@pytest.fixture
def other_split(project: Path, tmp_path: Path) -> SnwConfig:
    """The trained run, with data of another split: former training pairs are in its test split."""
    shutil.copytree(project, tmp_path / "copy")
    done = launched(tmp_path / "copy", "prepare", "--split-seed", "2", "--allow-changes")
    assert done.returncode == 0, done.stderr
    return configured(tmp_path / "copy")


def trained_before(project: Path) -> pd.DataFrame:
    return load_prepared(configured(project).data_folder).pairs


def names(pairs: pd.DataFrame) -> set[str]:
    return set(pairs["ligand_id"] + "/" + pairs["receptor_id"])


def test_evaluate_refuses_and_says_how_many(project: Path, other_split: SnwConfig) -> None:
    now, before = load_prepared(other_split.data_folder).pairs, trained_before(project)
    test, learned = now[now["split"] == "test"], names(before[before["split"] == "train"])
    count = len(names(test) & learned)
    assert count > 5
    with pytest.raises(InputError) as caught:
        evaluate_run(other_split)
    message = str(caught.value)
    assert caught.value.exit_code == 2
    assert f"of split test {count} of {len(test)} pairs were trained on" in message
    assert "data.split.seed: 1 then, 2 now" in message
    assert "--allow-changes" in message
    assert not (other_split.run_folder / "evaluation").exists()
    assert not (other_split.run_folder / "export" / "calibration.json").exists()


def test_allowed_it_measures_on_the_others_alone(project: Path, other_split: SnwConfig) -> None:
    now, before = load_prepared(other_split.data_folder).pairs, trained_before(project)
    folder = Path(other_split.run.folder).parent
    done = launched(folder, "evaluate", "--allow-changes")
    assert done.returncode == 0, done.stderr
    assert "Not the data that the network was trained on" in done.stdout
    written = pd.read_csv(other_split.run_folder / "evaluation" / "predictions.csv")
    learned, chosen = (names(before[before["split"] == split]) for split in ("train", "val"))
    assert not names(written) & learned
    assert not names(written[written["split"] == "test"]) & chosen
    expected = {split: names(now[now["split"] == split]) - learned for split in ("val", "test")}
    expected["test"] -= chosen
    assert {split: names(written[written["split"] == split]) for split in ("val", "test")} == expected
    provenance = json.loads((other_split.run_folder / "evaluation" / "metrics.json").read_text())["provenance"]
    left_out = provenance["left_out"]["test"]
    assert left_out["pairs"] - left_out["trained_on"] - left_out["chosen_by"] == len(expected["test"])
    assert provenance["trained_on"] != [provenance["data_digest"]]
    assert any("data.split.seed: 1 then, 2 now" in text for text in provenance["differences"])


def test_the_same_data_need_no_record(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project, tmp_path / "copy")
    config = configured(tmp_path / "copy")
    shutil.rmtree(config.run_folder / "trained")
    metrics = evaluate_run(config)
    assert metrics["provenance"]["trained_on"] == [metrics["provenance"]["data_digest"]]
    assert not {"differences", "left_out"} & metrics["provenance"].keys()


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_record_that_is_not_whole(other_split: SnwConfig, damage: str) -> None:
    [record] = (other_split.run_folder / "trained").glob("*.pairs")
    if damage == "missing":
        record.unlink()
    else:
        content = bytearray(record.read_bytes())
        content[len(content) // 2] ^= 1
        record.write_bytes(content)
    for allow in (False, True):
        with pytest.raises(CorruptError, match=rf"{record.name}: (missing|damaged)"):
            evaluate_run(configured(Path(other_split.run.folder).parent, evaluate__allow_changes=allow))


def test_compare_refuses_a_run_that_was_trained_on_other_data(other_split: SnwConfig) -> None:
    with pytest.raises(InputError, match=r"training pairs: .*data\.split\.seed: 1 then, 2 now"):
        compare_runs(other_split, {"siamese": [other_split]})
    (other_split.run_folder / "finished.json").write_text('{"reason": "all steps done", "step": 4, "best": {}}')
    with pytest.raises(InputError, match="pairs were trained on"):  # by its export, whatever its end says
        compare_runs(other_split, {"siamese": [other_split]})
    assert not (other_split.run_folder / "compare").exists()


def test_compare_refuses_a_run_of_other_settings_that_has_ended(project: Path) -> None:
    config = configured(project, train__learning_rate=0.5)
    with pytest.raises(InputError, match=r"train\.learning_rate: 0\.001 then, 0\.5 now"):
        compare_runs(config, {"siamese": [config]})


def test_the_command_compare_refuses_before_it_replaces_or_trains_anything(project: Path, tmp_path: Path) -> None:
    """Its runs share the data of one: another split seed in the configuration, and one of the runs is trained."""
    shutil.copytree(project, tmp_path / "copy")
    runs = tmp_path / "copy" / "runs"
    (runs / "tiny").rename(runs / "tiny-siamese-1")
    (runs / "tiny").mkdir()
    (runs / "tiny-siamese-1" / "data").rename(runs / "tiny" / "data")
    file = runs / "tiny-siamese-1" / "config.json"
    values = json.loads(file.read_text())
    values["data"]["folder"] = str(runs / "tiny" / "data")
    file.write_text(json.dumps(values))
    config = tmp_path / "copy" / "SNW_config.json"
    values = json.loads(config.read_text())
    values["data"]["split"]["seed"] = 2
    config.write_text(json.dumps(values))
    before = contents(runs)
    done = launched(tmp_path / "copy", "compare", "--models", "siamese,triplet")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"the network in {runs / 'tiny-siamese-1'} was trained on other pairs" in done.stderr
    assert "data.split.seed: 1 then, 2 now" in done.stderr
    assert contents(runs) == before


def prepared(split: list[str], label: float = 1.0) -> Prepared:
    """Pairs a/r0, b/r1, ... of those splits."""
    ligands = dict(zip("abcdef", ("AC", "DE", "FG", "HI", "KL", "MN"), strict=True))
    receptors = {f"r{i}": "GGG" + "A" * i for i in range(6)}
    rows = [(name, f"r{i}") for i, name in zip(range(len(split)), ligands, strict=False)]
    pairs = pd.DataFrame(rows, columns=["ligand_id", "receptor_id"])
    pairs = pairs.assign(label=label, positive=True, split=split, weight=1.0)
    return Prepared(ligands, receptors, pairs, {"made_from": ORIGIN})


def description(folder: Path, *history: Prepared) -> dict[str, object]:
    for data in history:
        write_record(folder, rows_of(data), ORIGIN)
    return {"provenance": {"trained_on": [data_digest(rows_of(data)) for data in history]}}


def test_a_pair_is_the_same_by_its_sequences_whatever_its_ids(tmp_path: Path) -> None:
    then = prepared(["train", "train", "val", "test"])
    now = prepared(["test", "train", "val", "train"])
    ligands = {f"x{name}": sequence for name, sequence in now.ligands.items()}
    renamed = Prepared(ligands, now.receptors, now.pairs.assign(ligand_id="x" + now.pairs["ligand_id"]), now.summary)
    assert np.array_equal(pair_keys(renamed), pair_keys(now))
    with pytest.raises(InputError, match="of split test 1 of 1 pairs were trained on, such as xa/r0"):
        measurable(renamed, description(tmp_path, then), tmp_path)


def test_pairs_of_any_data_of_the_history_are_left_out(tmp_path: Path) -> None:
    """Continued with `--allow-changes`: what was trained on before counts, though the present data are the last."""
    first = prepared(["train", "train", "val", "test", "test", "val"])
    last = prepared(["test", "train", "val", "train", "test", "test"])
    facts = description(tmp_path, first, last)
    with pytest.raises(InputError, match="of split test 1 of 3 pairs were trained on, by 1 of 3 pairs the weights"):
        measurable(last, facts, tmp_path)
    data = measurable(last, facts, tmp_path, allow_changes=True)
    assert data.prepared.pairs["ligand_id"].tolist() == ["b", "c", "d", "e"]
    strata = pairs_of(data.prepared, data.trained).set_index("ligand_id")["stratum"]
    assert strata["e"] == "none seen"


def test_sequences_seen_before_count_as_seen(tmp_path: Path) -> None:
    first, now = prepared(["train", "train", "val", "test"]), prepared(["train", "val", "val", "test"])
    now.pairs.loc[3, "ligand_id"] = "b"  # a new pair of a ligand that was in train before and is not now
    data = measurable(now, description(tmp_path, first, now), tmp_path, allow_changes=True)
    assert pairs_of(data.prepared, data.trained)["stratum"].tolist()[-1] == "one seen"
    assert pairs_of(data.prepared)["stratum"].tolist()[-1] == "none seen"


def test_other_labels_alone_are_a_difference(tmp_path: Path) -> None:
    then, now = prepared(["train", "val", "test"]), prepared(["train", "val", "test"], label=0.5)
    with pytest.raises(InputError, match="2 pairs have another label or weight"):
        measurable(now, description(tmp_path, then), tmp_path)
    assert len(measurable(now, description(tmp_path, then), tmp_path, allow_changes=True).prepared.pairs) == 3


def test_nothing_is_left_to_measure(tmp_path: Path) -> None:
    then, now = prepared(["train", "train", "val"]), prepared(["train", "test", "val"])
    with pytest.raises(InputError, match="every pair of split test"):
        measurable(now, description(tmp_path, then), tmp_path, allow_changes=True)


def test_a_held_out_pair_that_is_a_training_pair_by_other_ids_is_left_out(tmp_path: Path) -> None:
    """Nothing changed, so nothing is refused: the table itself has it in two splits."""
    data = prepared(["train", "train", "val", "test", "test", "test"])
    data.ligands["d"], data.receptors["r3"] = data.ligands["a"], data.receptors["r0"]
    data.ligands["e"], data.receptors["r4"] = data.ligands["c"], data.receptors["r2"]
    found = measurable(data, description(tmp_path, data), tmp_path)
    assert found.prepared.pairs["ligand_id"].tolist() == ["a", "b", "c", "f"]
    assert found.left_out == {"test": {"pairs": 3, "trained_on": 1, "chosen_by": 1}}
    assert found.differences == []
    usable, left_out = without_repeats(data)
    assert usable.pairs.equals(found.prepared.pairs)
    assert left_out == found.left_out


def test_an_export_of_an_older_version(tmp_path: Path) -> None:
    data = prepared(["train", "val", "test"])
    with pytest.raises(InputError, match="an older version of this program made it"):
        measurable(data, {"provenance": {}}, tmp_path)
    allowed = measurable(data, {"provenance": {}}, tmp_path, allow_changes=True)
    assert "older version" in allowed.differences[0]


@pytest.mark.parametrize("digest", ["../../secret", "a" * 63, "", "A" * 64])
def test_a_digest_never_becomes_another_path(tmp_path: Path, digest: str) -> None:
    with pytest.raises(CorruptError, match="no digest of training pairs"):
        measurable(prepared(["train", "val", "test"]), {"provenance": {"trained_on": [digest]}}, tmp_path)


def test_a_record_holds_each_pair_of_train_and_val() -> None:
    data = prepared(["train", "val", "test", "train"])
    rows = rows_of(data)
    assert rows["val"].tolist() == [0, 1, 0]
    assert np.array_equal(keys_of(rows), pair_keys(data)[[0, 1, 3]])
