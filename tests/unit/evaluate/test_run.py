"""An evaluation appears as a whole: until it does, and when anything goes wrong, the old one stays as it was."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from hpc.errors import CorruptError, EnvironmentProblem, InputError, SnwError
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.store.header import read_header
from snw_dist.evaluate import report
from snw_dist.evaluate import run as evaluation
from snw_dist.evaluate.compare.runs import compare_runs
from snw_dist.evaluate.run import evaluate_run
from snw_dist.predict.calibration import load_calibration
from snw_dist.predict.export import verify_export
from snw_dist.trained_run.folder import Finished, write_finished
from tests.kit.evaluate_tools import export, exported_run

ROOT = Path(__file__).resolve().parents[3]
REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "12"))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SnwConfig:
    """Drawing takes seconds, and `test_pictures` has it."""
    monkeypatch.setattr(report, "_pictures", lambda *_: {"roc.png": b"\x89PNG", "strata.png": b"\x89PNG"})
    return exported_run(tmp_path)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def agrees(folder: Path) -> dict[str, Any]:
    """The figures are those of the scores beside them; returns what they are made of."""
    metrics: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    table = pd.read_csv(folder / "predictions.csv")
    for name, split in metrics["model"]["splits"].items():
        rows = table[table["split"] == name]
        assert split["metrics"]["auroc"]["value"] == pytest.approx(roc_auc_score(rows["positive"], rows["score"]))
    provenance: dict[str, Any] = metrics["provenance"]
    return provenance


def test_it_says_what_it_is_made_of(config: SnwConfig) -> None:
    evaluate_run(config)
    provenance = agrees(config.run_folder / "evaluation")
    assert provenance["weights_sha256"] == verify_export(config.run_folder / "export")[0]
    assert provenance["store_rows_sha256"] == read_header(config.store_path).rows_digest
    assert provenance["data_digest"] == provenance["trained_on"][0]
    load_calibration(config.run_folder / "export")


def test_a_failure_at_any_file_leaves_the_old_one(config: SnwConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate_run(config)
    folder = config.run_folder / "evaluation"
    (folder / "notes.txt").write_text("mine")
    before = content(folder)
    export(config, 2)

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    for where, name in ((report, "write_predictions"), (report, "_pictures"), (Path, "write_text"), (os, "fsync")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fails)
            with pytest.raises((OSError, SnwError), match="No space left"):
                evaluate_run(config)
        assert content(folder) == before
        assert not [path for path in config.run_folder.iterdir() if path.name.startswith(".evaluation")]
    evaluate_run(config)
    after = content(folder)
    assert after.keys() == before.keys()
    assert after["metrics.json"] != before["metrics.json"]
    assert after["notes.txt"] == b"mine"


def in_a_child(action: Callable[[], object]) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=action)
    process.start()
    return process


def test_a_file_that_may_not_grow(config: SnwConfig) -> None:
    """As on a full disk: the system refuses while the predictions are written."""
    evaluate_run(config)
    folder = config.run_folder / "evaluation"
    before = content(folder)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            evaluate_run(config)
        except CorruptError as error:
            os._exit(int(error.exit_code))

    export(config, 2)
    child = in_a_child(limited)
    child.join()
    assert child.exitcode == 3
    assert content(folder) == before


def test_killed_at_any_moment(config: SnwConfig, record_property: Callable[[str, object], None]) -> None:
    evaluate_run(config)
    folder, generator = config.run_folder / "evaluation", random.Random(1)
    pairs, scores = saved_arguments(config)

    def write_for_ever() -> None:
        for seed in range(10**9):
            arguments = {"repeats": 0, "seed": 1, "provenance": {"encoder": "test"}, "metrics_log": None}
            report.evaluate_scores(pairs, np.roll(scores, seed), {}, folder=folder, **arguments)

    for _ in range(REPEATS):
        writer = in_a_child(write_for_ever)
        time.sleep(0.05 + generator.random() * 0.2)
        writer.kill()
        writer.join()
        agrees(folder)
    evaluate_run(config)
    assert not [path for path in config.run_folder.iterdir() if path.name.startswith(".evaluation")]
    record_property("tried", REPEATS)


def saved_arguments(config: SnwConfig) -> tuple[pd.DataFrame, np.ndarray]:
    pairs = evaluation.pairs_of(load_prepared(config.data_folder))
    held_out = pairs[pairs["split"] != "train"].reset_index(drop=True)
    return held_out, np.random.default_rng(1).random(len(held_out))


def test_weights_that_are_replaced_meanwhile(config: SnwConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scores are of the old weights: nothing that is fitted on them stands beside the new ones."""
    evaluate_run(config)
    folder = config.run_folder / "evaluation"
    before, real = content(folder), evaluation.evaluate_scores

    def slow(*arguments: Any, **named: Any) -> Any:
        export(config, 2)
        return real(*arguments, **named)

    monkeypatch.setattr(evaluation, "evaluate_scores", slow)
    with pytest.raises(EnvironmentProblem, match=r"export: replaced while it was evaluated: .* of step 2.*again"):
        evaluate_run(config)
    assert content(folder) == before
    with pytest.raises(InputError, match="not calibrated yet"):
        load_calibration(config.run_folder / "export")


def test_a_log_of_training_that_is_damaged_spoils_no_figure(
    config: SnwConfig, caplog: pytest.LogCaptureFixture
) -> None:
    picture, log = config.run_folder / "evaluation" / "training_curve.png", config.run_folder / "metrics.jsonl"
    lines = [b'{"kind": "train", "step": 1, "loss": 0.5}', b"\xff\xfe", b"[" * 10**5, b'{"step": "x"}', b""]
    log.write_bytes(b"\n".join(lines))
    evaluate_run(config)
    assert "metrics.jsonl:2: damaged, left out" in caplog.text
    assert picture.exists()
    log.unlink()
    os.mkfifo(log)
    evaluate_run(config)
    assert "no picture of the training" in caplog.text
    assert not picture.exists()
    agrees(picture.parent)


def evaluate_command(config: SnwConfig) -> tuple[int, str]:
    """Exit code of `launch/evaluate.py`, and what it says of problems."""
    folder = config.run_folder.parent
    (folder / "SNW_config.json").write_text(json.dumps(config_to_dict(config)))
    command = [sys.executable, ROOT / "launch" / "evaluate.py", "--config", folder / "SNW_config.json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def test_the_command_with_a_flipped_bit(config: SnwConfig) -> None:
    file = config.run_folder / "export" / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    expected = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(data)
    code, said = evaluate_command(config)
    assert code == 3
    assert len(said.splitlines()) == 1
    assert said.startswith(f"error: {file}: SHA-256 {hashlib.sha256(data).hexdigest()}, expected {expected}.")
    assert "snw-dist train" in said
    assert not (config.run_folder / "evaluation").exists()


def test_a_comparison_stays_until_the_next_is_whole(config: SnwConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of one network, compared; then again, with a failure at each of the files."""
    runs = []
    for seed in (1, 2):
        run = dataclasses.replace(config.run, name=f"seed{seed}")
        data, store = dataclasses.replace(config.data, folder=str(config.data_folder)), config.store
        store = dataclasses.replace(store, path=str(config.store_path))
        runs.append(dataclasses.replace(config, run=run, data=data, store=store))
        export(runs[-1], seed)
        write_finished(runs[-1].run_folder, Finished("all steps done", seed, {}, {}, []))
    folder = config.run_folder / "compare"
    folder.mkdir()
    (folder / "ensemble_old.csv").touch()
    (folder / "cross_validation.json").write_text("of all folds")
    made_of = compare_runs(config, {"siamese": runs}).plain()["made_of"]
    assert {name: digests["weights_sha256"] for name, digests in made_of.items()} == {
        run.run.name: verify_export(run.run_folder / "export")[0] for run in runs
    }
    before = content(folder)
    tables = [
        f"{name}.{kind}" for name in ("ensemble_siamese", "run_seed1", "run_seed2") for kind in ("csv", "parquet")
    ]
    assert before.keys() == {"comparison.json", "cross_validation.json", *tables}
    for run in runs:  # each can be used alone: its scores are there, and its calibration is beside its weights
        own = pd.read_parquet(folder / f"run_{run.run.name}.parquet")
        calibration = load_calibration(run.run_folder / "export")
        np.testing.assert_array_equal(own["probability"], calibration(own["score"]))
        [entry] = [model["each"] for model in json.loads(before["comparison.json"])["models"].values()]
        assert entry[run.run.name]["calibration"]["method"] == calibration.method
    export(runs[0], 3)
    from snw_dist.evaluate.compare import compared
    from snw_dist.evaluate.compare import runs as module

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    for where, name in ((module, "write_predictions"), (compared, "atomic_write_json")):
        with monkeypatch.context() as patch:
            patch.setattr(where, name, fails)
            with pytest.raises(SnwError, match="No space left"):
                compare_runs(config, {"siamese": runs})
        assert content(folder) == before
    compare_runs(config, {"siamese": runs})
    assert content(folder)["comparison.json"] != before["comparison.json"]
