"""What TensorBoard's own reader finds of a run that was stopped, killed, and gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from tensorboard.summary.writer import event_file_writer

from snw_dist.train import tensorboard
from snw_dist.train.projected import Projected
from snw_dist.train.tensorboard import TensorBoard

SETTINGS = {"model.name": "siamese", "train.learning_rate": 1e-3, "run.seed": 1, "train.allow_changes": False}


@pytest.fixture(autouse=True)
def files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads files by their names: time in seconds, process, and a number, of which 10 comes before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = dict.fromkeys(("scalars", "tensors", "histograms"), 0)
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def steps_of(folder: Path, tag: str) -> list[int]:
    return [event.step for event in read(folder).Scalars(tag)]


def job(folder: Path, step: int, steps: range, loss: float = 1.0) -> TensorBoard:
    board = TensorBoard(folder, step, SETTINGS)
    for number in steps:
        board.add("train", {"loss": loss, "gradient_norm": None}, number)
    return board


def test_a_resumed_run_has_every_step_once(tmp_path: Path) -> None:
    first = job(tmp_path, 0, range(1, 11))
    first.close()
    second = job(tmp_path, 6, range(7, 13), loss=2.0)  # the checkpoint was of step 6
    second.close()
    events = read(tmp_path).Scalars("train/loss")
    assert [event.step for event in events] == list(range(1, 13))
    assert [event.value for event in events] == [1.0] * 6 + [2.0] * 6
    assert read(tmp_path).Tags()["scalars"] == ["train/loss"]


def test_a_validation_that_is_made_again_counts_once_and_its_step_stays(tmp_path: Path) -> None:
    """A job validated step 4 and was killed before the save after it; the next one begins with that validation."""
    first = job(tmp_path, 0, range(1, 5))
    for number in (2, 4):
        first.add("validation", {"auroc": 0.5}, number)
    first.close()
    second = TensorBoard(tmp_path, 4, SETTINGS)
    second.forget_validation(4)
    for number in (4, 6):
        second.add("validation", {"auroc": 0.7}, number)
    second.close()
    events = read(tmp_path / "validation").Scalars("validation/auroc")
    assert [(event.step, round(event.value, 3)) for event in events] == [(2, 0.5), (4, 0.7), (6, 0.7)]
    assert steps_of(tmp_path, "train/loss") == [1, 2, 3, 4]


def test_what_is_committed_is_there_when_the_job_is_killed(tmp_path: Path) -> None:
    board = job(tmp_path, 0, range(1, 4))
    board.committed(3)
    assert steps_of(tmp_path, "train/loss") == [1, 2, 3]  # nothing has been closed
    board.close()


def test_scores_of_a_validation_as_histograms_and_curve(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path, 0, SETTINGS)
    draw = np.random.default_rng(0)
    positive = draw.random(200) < 0.3
    scores = np.clip(positive * 0.4 + draw.random(200) * 0.6, 0, 1)
    board.scores(scores, positive, 8)
    board.scores(scores[:5], np.zeros(5, dtype=bool), 9)  # pairs of one kind have no curve
    board.close()
    found = read(tmp_path / "validation")
    counts = {
        tag: [(e.step, e.histogram_value.num) for e in found.Histograms(tag)] for tag in found.Tags()["histograms"]
    }
    assert counts == {
        "validation/scores_of_positives": [(8, positive.sum())],
        "validation/scores_of_negatives": [(8, 200 - positive.sum()), (9, 5)],
    }
    [curve] = found.Tensors("validation/pr_curve")
    from tensorboard.util.tensor_util import make_ndarray

    true_positives, false_positives, _, _, precision, recall = make_ndarray(curve.tensor_proto)
    assert (true_positives[0], false_positives[0]) == (positive.sum(), 200 - positive.sum())  # at threshold 0 all are
    assert precision[0] == pytest.approx(positive.mean())
    assert recall[0] == 1


def test_the_end_leaves_settings_and_vectors(tmp_path: Path) -> None:
    rows = [["ligand", "9", "yes", "0.50"], ["receptor", "180", "no", "0.25"]]
    vectors = Projected(
        np.array([[1.0, 2.0], [3.0, 4.5]], np.float32), ("side", "residues", "in_train", "positives"), rows
    )
    with mock.patch.object(tensorboard, "projected", return_value=vectors):
        for step in (12, 12, 14):  # the same end twice, and one of a run that was trained further
            board = TensorBoard(tmp_path, step, SETTINGS)
            board.end({"best/auroc": 0.9}, mock.Mock(), step)
            board.close()
    found = read(tmp_path)
    assert [round(event.value, 3) for event in found.Scalars("best/auroc")] == [0.9] * 3
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    content = found.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    assert {key: value.string_value or value.number_value for key, value in start.hparams.items()} == {
        "model.name": "siamese", "train.learning_rate": 1e-3, "run.seed": 1, "train.allow_changes": 0
    }  # fmt: skip
    assert (tmp_path / "00012/default/tensors.tsv").read_text() == "1.0\t2.0\n3.0\t4.5\n"
    header, *lines = (tmp_path / "00012/default/metadata.tsv").read_text().splitlines()
    assert [header.split("\t"), *(line.split("\t") for line in lines)] == [list(vectors.columns), *rows]
    config = (tmp_path / "projector_config.pbtxt").read_text()
    assert config.count("tensor_path") == 1
    assert "00014/default" in config
