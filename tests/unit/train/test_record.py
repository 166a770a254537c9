"""What is written down of a run as it goes, and on which rank."""

from pathlib import Path
from unittest import mock

import pytest

from hpc.disk.json_lines import read_json_lines
from hpc.progress import ProgressFile
from snw_dist.train.record import Record
from snw_dist.train.saves import Committed
from tests.kit.ranks import names


def begun(folder: Path, step: int, rank: int = 0) -> tuple[Record, mock.Mock]:
    bar = mock.create_autospec(ProgressFile, instance=True)
    return Record(folder, rank, step, 9, bar), bar.update


def test_other_ranks_write_and_show_nothing(tmp_path: Path) -> None:
    record, update = begun(tmp_path, 0, rank=1)
    record.changes(0, ["other"])
    record.log("train", 1, {"loss": 1.0}, 0.5, 8)
    record.save(Committed(1, 0.1, 0.2, 3))
    record.show_step(1, 0, 1.0, {})
    record.show_validation(1, {"val_auroc": 0.5})
    record.close()
    assert names(tmp_path) == []
    assert not update.called


def test_a_job_that_goes_on_forgets_what_comes_again(tmp_path: Path) -> None:
    first, _ = begun(tmp_path, 0)
    for step in (1, 2, 3):
        first.log("train", step, {"loss": float(step)}, 0.5, 8)
    first.log("validation", 2, {"auroc": 0.5}, 0.5, 8)
    first.changes(2, ["once"])
    again, _ = begun(tmp_path, 2)
    again.forget_validation(2)
    again.changes(2, ["twice"])
    first.close()
    again.close()
    found = [(line["kind"], line["step"]) for line in read_json_lines(tmp_path / "metrics.jsonl")]
    assert found == [("train", 1), ("train", 2), ("changed", 2)]
    assert next(iter(read_json_lines(tmp_path / "metrics.jsonl"))) == {
        "kind": "train", "step": 1, "loss": 1.0, "seconds": 0.5, "pairs_per_s": 16.0
    }  # fmt: skip


@pytest.mark.parametrize("skipped", [0, 2])
def test_the_bar_shows_the_last_step_with_the_last_validation(tmp_path: Path, skipped: int) -> None:
    record, update = begun(tmp_path, 0)
    record.show_step(1, skipped, 1.5, {"epoch": 1})
    record.show_validation(1, {"val_auroc": 0.5, "best": 0.6})
    assert update.call_args == mock.call(
        "train", 1, 9, "steps", force=True, loss=1.5, epoch=1, val_auroc=0.5, best=0.6,
        **({"skipped": 2} if skipped else {}),
    )  # fmt: skip
    record.show_step(2, skipped, 1.25, {"epoch": 2})
    assert not update.call_args.kwargs["force"]
    shown = [name for name in update.call_args.kwargs if name != "force"]
    assert shown == [*(["skipped"] if skipped else []), "loss", "val_auroc", "best", "epoch"]
    record.close()
