"""A run is bound to the pairs it learns from: what changes under it between a stop and a resume is refused."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpc.errors import CorruptError, InputError
from hpc.save.checkpoint import committed_checkpoints
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.ensure import as_prepared, ensure_prepared
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from snw_dist.data.trained import data_digest, records, rows_of, trained_files
from snw_dist.predict.export import read_export
from snw_dist.train.precheck import check_run_folder, check_training
from snw_dist.trained_run.folder import read_finished, refuse_lost_checkpoints
from tests.kit.ranks import run_ranks, start_ranks
from tests.kit.tiny import configured, contents, launched, trained_as_it_is, write_project
from tests.kit.trainings import TRAINING


def replace_data(config: SnwConfig) -> None:
    """What an older version did in silence."""
    shutil.rmtree(config.data_folder)
    (config.run_folder / "trained").rename(config.run_folder / "hidden")
    prepare(config)
    (config.run_folder / "hidden").rename(config.run_folder / "trained")


OTHER_DATA: list[tuple[str, dict[str, Any], str]] = [
    ("seed of the split", {"data__split__seed": 2}, "data.split.seed: 1 then, 2 now"),
    ("seed of the run", {"run__seed": 2}, "data.split.seed: 1 then, 2 now"),
    ("fractions", {"data__split__val_fraction": 0.1}, "data.split.val_fraction: 0.2 then, 0.1 now"),
    ("method", {"data__split__method": "ligand_cold"}, "data.split.method: 'random' then, 'ligand_cold' now"),
    ("folds", {"data__split__folds": 3}, "data.split.folds: None then, 3 now"),
    ("label", {"data__columns__label": "other"}, "data.columns.label: 'label' then, 'other' now"),
    ("scores", {"data__scores__term": "other"}, "data.scores.term: None then, 'other' now"),
    ("threshold", {"data__positive_from": 0.7}, "data.positive_from: 0.5 then, 0.7 now"),
    ("lengths", {"data__max_length": 9, "data__on_invalid": "skip"}, "data.max_length: 100000 then, 9 now"),
]


@pytest.mark.parametrize(
    ("overrides", "said"), [row[1:] for row in OTHER_DATA[:-1]], ids=[r[0] for r in OTHER_DATA[:-1]]
)
def test_other_data_are_refused_and_replace_nothing(copy: Path, overrides: dict[str, Any], said: str) -> None:
    before, config = contents(copy), configured(copy, **overrides)
    for command in (check_training, prepare, ensure_prepared):
        with pytest.raises(InputError) as caught:
            command(config)
        assert caught.value.exit_code == 2
        assert said in str(caught.value)
        assert "was trained on other pairs" in str(caught.value)
        assert "pairs" in str(caught.value)
        assert "--run NAME" in str(caught.value)
    assert contents(copy) == before


def test_data_that_were_replaced_all_the_same(copy: Path, tmp_path: Path) -> None:
    """By an older version, or by hand: the check before the job refuses, so does the job, and nothing is touched."""
    config = configured(copy, data__columns__label="other")
    replace_data(config)
    before = contents(copy)
    with pytest.raises(InputError, match=r"holds checkpoints of another run .*training pairs: "):
        check_training(config)
    rank = trained_as_it_is(config, tmp_path / "log")
    assert rank.returncode == 2, rank.log
    assert "training pairs: " in rank.log
    assert contents(copy) == before


def test_allowed_changes_are_recorded_and_so_is_the_history(copy: Path, tmp_path: Path) -> None:
    config = configured(copy, data__split__seed=2, train__allow_changes=True, train__max_steps=6)
    first = data_digest(rows_of(load_prepared(config.data_folder)))
    check_training(config)
    rank = trained_as_it_is(config, tmp_path / "log")
    assert rank.returncode == 0, rank.log
    second = data_digest(rows_of(load_prepared(config.data_folder)))
    lines = (config.run_folder / "metrics.jsonl").read_text().splitlines()
    [record] = [record for record in map(json.loads, lines) if record["kind"] == "changed"]
    assert any("training pairs: " in text and "data.split.seed: 1 then, 2 now" in text for text in record["changes"])
    manifest = json.loads((committed_checkpoints(config.run_folder / "checkpoints")[-1] / "manifest.json").read_text())
    assert manifest["meta"]["provenance"]["trained_on"] == [first, second]
    finished = read_finished(config.run_folder)
    assert finished is not None
    assert (finished.step, finished.trained_on) == (6, [first, second])
    assert records(config.run_folder) == sorted([first, second])


def test_the_export_says_on_what_it_was_trained(project: Path) -> None:
    config = configured(project)
    digest = data_digest(rows_of(load_prepared(config.data_folder)))
    _, description = read_export(config.run_folder / "export")
    assert description["provenance"]["trained_on"] == [digest]


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new)) and None


@pytest.mark.parametrize(
    "change",
    [
        rewrite("ligands.fasta", ">l1\n", ">l1 a comment\n"),
        rewrite("pairs.csv", ",n\n", ",another note\n"),
        rewrite("ligands.fasta", ">l0\n", ">more\nWWWWWWWW\n>l0\n"),
    ],
)
def test_what_training_does_not_see_may_change(copy: Path, change: Callable[[Path], None]) -> None:
    config = configured(copy)
    change(copy)
    before = data_digest(rows_of(load_prepared(config.data_folder)))
    prepared = ensure_prepared(config)
    assert data_digest(rows_of(prepared)) == before
    check_run_folder(config, prepared)


def test_the_label_of_a_held_out_pair_may_change_and_that_of_a_training_pair_may_not(copy: Path) -> None:
    config = configured(copy)
    pairs = load_prepared(config.data_folder).pairs
    for split in ("test", "train"):
        row = pairs[pairs["split"] == split].iloc[0]
        name = f"{row['ligand_id']},{row['receptor_id']},"
        rewrite("pairs.csv", f"\n{name}{row['label']},", f"\n{name}0.0001,")(copy)
        if split == "test":
            check_training(config)
            assert (load_prepared(config.data_folder).pairs["label"] == 0.0001).sum() == 1
        else:
            with pytest.raises(InputError, match="1 pairs have another label or weight; content of pairs"):
                check_training(config)


def test_a_refused_train_leaves_data_whose_held_out_pairs_alone_differ(copy: Path) -> None:
    """Nothing is replaced before all is checked: another learning rate is refused after the data were read."""
    config = configured(copy, train__learning_rate=0.5)
    row = load_prepared(config.data_folder).pairs.query("split == 'test'").iloc[0]
    rewrite("pairs.csv", f"\n{row['ligand_id']},{row['receptor_id']},", f"\n{row['ligand_id']},{row['receptor_id']},0")(
        copy
    )
    before = contents(copy)
    with pytest.raises(InputError, match=r"train\.learning_rate: 0\.001 then, 0\.5 now"):
        check_training(config)
    assert contents(copy) == before


def test_a_run_beside_it_that_shares_the_data(copy: Path) -> None:
    """`compare` trains runs of other names on the data of one: these are not replaced under them either."""
    shared = configured(copy)
    other = shared.run_folder.with_name("other")
    shared.run_folder.rename(other)
    (other / "data").rename(copy / "data")
    values = json.loads((other / "config.json").read_text())
    values["data"]["folder"] = str(copy / "data")
    (other / "config.json").write_text(json.dumps(values))
    config = configured(copy, data__folder="data", data__split__seed=2)
    with pytest.raises(InputError, match=f"the network in {other} was trained on other pairs"):
        prepare(config)
    ensure_prepared(configured(copy, data__folder="data"))


def test_what_prepare_was_given_holds_for_the_run(tmp_path: Path) -> None:
    """`prepare --split-seed 7`, then `train` without it: the data were made again with the other seed in silence."""
    write_project(tmp_path)
    done = launched(tmp_path, "prepare", "--run", "seven", "--split-seed", "7")
    assert done.returncode == 0, done.stderr
    config = as_prepared(configured(tmp_path, run__name="seven"))
    assert config.split_seed == 7
    before = contents(config.data_folder)
    check_training(configured(tmp_path, run__name="seven"))
    assert contents(config.data_folder) == before
    assert before["pairs.parquet"] != contents_of_default(tmp_path)["pairs.parquet"]


def contents_of_default(folder: Path) -> dict[str, bytes]:
    config = configured(folder)
    prepare(config)
    return contents(config.data_folder)


def test_prepare_says_what_stands_on_the_data_and_replaces_them_on_demand(copy: Path) -> None:
    before = contents(copy)
    refused = launched(copy, "prepare", "--split-seed", "2")
    assert refused.returncode == 2, refused.stderr
    assert "data.split.seed: 1 then, 2 now" in refused.stderr
    assert "pairs of train are not in train now" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert contents(copy) == before
    assert launched(copy, "prepare", "--split-seed", "2", "--allow-changes").returncode == 0


@pytest.mark.parametrize("left", ["checkpoints.json", "metrics.jsonl", "finished.json", "export"])
def test_checkpoints_that_are_gone_are_never_begun_anew(copy: Path, left: str, tmp_path: Path) -> None:
    """A purge took them; one of the others alone must be enough, since it may have taken these too."""
    config = configured(copy)
    for name in {"checkpoints", "checkpoints.json", "metrics.jsonl", "finished.json", "export"} - {left}:
        path = config.run_folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = contents(copy)
    with pytest.raises(CorruptError, match=rf"there was one: {left}.*--run NAME") as caught:
        check_training(config)
    assert caught.value.exit_code == 3
    if left == "export":
        rank = trained_as_it_is(config, tmp_path / "log")
        assert rank.returncode == 3, rank.log
        assert "there was one: export/model.safetensors" in rank.log
    assert contents(copy) == before


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(copy: Path) -> None:
    config = configured(copy)
    for file in trained_files(config.run_folder):
        file.unlink()
    shutil.rmtree(config.run_folder / "checkpoints")
    metrics = config.run_folder / "metrics.jsonl"
    metrics.write_text("".join(line for line in metrics.read_text().splitlines(True) if '"save"' not in line))
    refuse_lost_checkpoints(config.run_folder)
    check_training(config)


def test_an_export_is_never_older_than_the_first_checkpoint(tmp_path: Path) -> None:
    """So that an export without any checkpoint always means that checkpoints were lost."""
    write_project(tmp_path)
    config = configured(tmp_path, train__save_every=1000)
    ensure_prepared(config)
    entry = "tests.kit.trainings:training_killed_at_its_first_export"
    [rank] = run_ranks(entry, 1, config_to_dict(config), tmp_path / "log")
    assert rank.returncode == -9, rank.log
    assert not (config.run_folder / "export" / "model.safetensors").exists()
    assert [path.name for path in committed_checkpoints(config.run_folder / "checkpoints")] == ["step_0000000002"]
    check_training(config)


def test_a_finished_run_that_is_extended_is_not_finished_until_its_end(copy: Path, tmp_path: Path) -> None:
    config = configured(copy, train__max_steps=400, train__allow_changes=True, train__save_every=1000)
    finished = config.run_folder / "finished.json"
    assert finished.exists()

    with start_ranks(TRAINING, 1, config_to_dict(config), tmp_path / "log") as ranks:
        end = time.monotonic() + 60
        while finished.exists() and time.monotonic() < end:
            time.sleep(0.02)
        ranks.kill()
    assert read_finished(config.run_folder) is None
