"""The real W&B, offline, writing to the folder of a run that is stopped and gone on with."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any
from unittest import mock

from wandb.proto import wandb_internal_pb2

from snw_dist.config import config_from_dict
from snw_dist.train.record import trackers_of
from snw_dist.train.tracking import Tracker

BLOCK, FULL, LAST = 32768, 1, 4


def tracker_of(folder: Path, step: int) -> Tracker:
    """What `train.tracker` names, alone."""
    config = config_from_dict({"run": {"folder": str(folder), "name": "first"}, "train": {"tracker": "wandb"}})
    config.run_folder.mkdir(exist_ok=True)
    return trackers_of(config, step)._trackers["wandb"]


def records(file: Path) -> list[Any]:
    """What is in a file of W&B: after 7 bytes, blocks of 32 KiB with pieces of records, as LevelDB writes its log."""
    data, at, found, whole = file.read_bytes(), 7, [], b""
    assert data.startswith(b":W&B")
    while at + 7 <= len(data):
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if kind == 0 or BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            found.append(wandb_internal_pb2.Record.FromString(whole))
            whole = b""
    return found


def written(folder: Path) -> list[Path]:
    """The files, once each says that it is whole: another process writes them."""
    end = time.monotonic() + 30
    while True:
        files = sorted((folder / "first" / "wandb").glob("offline-run-*/*.wandb"))
        if all(any(record.HasField("exit") for record in records(file)) for file in files):
            return files
        assert time.monotonic() < end
        time.sleep(0.05)


def history(file: Path) -> list[dict[str, Any]]:
    rows = [record.history for record in records(file) if record.HasField("history")]
    own = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in row.item if item.value_json}
        for row in rows
    ]
    return [{key: value for key, value in row.items() if not key.startswith("_") or key == "_step"} for row in own]


def test_two_jobs_are_one_run_with_every_step_once(tmp_path: Path) -> None:
    first = tracker_of(tmp_path, 0)
    for step in range(1, 6):
        first.add("train", {"loss": 1.0 / step, "gradient_norm": None}, step)
    first.add("validation", {"auroc": 0.5}, 5)
    first.committed(4)
    first.close()
    second = tracker_of(tmp_path, 4)
    for step in range(5, 7):
        second.add("train", {"loss": 2.0}, step)
        second.add("validation", {"auroc": 0.75}, step)
    second.committed(6)
    second.end({"best/auroc": 0.75}, mock.Mock(), 6)
    second.close()
    files = written(tmp_path)
    assert len(files) == 2
    runs = [record.run for file in files for record in records(file) if record.HasField("run")]
    assert len({run.run_id for run in runs}) == 1
    assert {(run.project, run.display_name) for run in runs} == {("snw-dist", "first")}
    both = [row for file in files for row in history(file)]
    assert [row["_step"] for row in both] == [1, 2, 3, 4, 5, 6]
    assert both[0]["train/loss"] == 1
    assert both[-1] == {"_step": 6, "train/loss": 2.0, "validation/auroc": 0.75}
    configs = {item.key: item.value_json for item in runs[0].config.update}
    assert configs["model.name"] == '"pseudo_siamese"'
    summaries = [i for r in records(files[1]) if r.HasField("summary") for i in r.summary.update]
    assert ("best/auroc", "0.75") in {(item.key or "/".join(item.nested_key), item.value_json) for item in summaries}
    assert {run.host for run in runs} == {"unnamed"}
    every = [record for file in files for record in records(file)]
    assert not [record for record in every if record.HasField("environment") or record.HasField("output_raw")]
    assert not [path for path in (tmp_path / "first" / "wandb").rglob("*") if path.name == "requirements.txt"]
