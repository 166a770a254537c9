"""A user's mistake: one clear message and the right exit code, before any job is submitted."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snw_dist.predict.calibration import load_calibration

ROOT = Path(__file__).resolve().parents[3]
LIGANDS = "".join(f">l{i}\n{'ACDEFGHIKLMNPQRSTVWY'[i:] + 'AAAA'}\n" for i in range(12))
RECEPTORS = ">r1\nMKVLAWYHHTE\n>r2\nGGSTPLKNQRDE\n"
PAIRS = "ligand_id,receptor_id,label,split\n" + "".join(
    f"l{i},r{1 + i % 2},{i % 2},{['train', 'train', 'train', 'val', 'val', 'test'][i % 6]}\n" for i in range(12)
)


def change(*path: str, to: Any) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        file = folder / "SNW_config.json"
        config = json.loads(file.read_text())
        section = config
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = to
        file.write_text(json.dumps(config))

    return apply


def rewrite(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new, 1)) and None


def launch(folder: Path, launcher: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "launch" / f"{launcher}.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )


def one_class_val(folder: Path) -> None:
    """With a store, or its absence would be the message."""
    rows = [row.split(",") for row in PAIRS.splitlines()]
    lines = [",".join([*row[:2], "0" if row[3] == "val" else row[2], row[3]]) for row in rows]
    (folder / "pairs.csv").write_text("\n".join(lines) + "\n")
    done = launch(folder, "embed")
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(folder / "runs" / "mistake" / "jobs")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ligands.fasta").write_text(LIGANDS)
    (tmp_path / "receptors.fasta").write_text(RECEPTORS)
    (tmp_path / "pairs.csv").write_text(PAIRS)
    config = {"run": {"name": "mistake"}, "store": {"shard_rows": 256}, "cluster": {"cluster": "local"}}
    (tmp_path / "SNW_config.json").write_text(json.dumps(config))
    return tmp_path


MISTAKES: list[tuple[str, str, Callable[[Path], None], tuple[str, ...], int, list[str]]] = [
    ("config key", "embed", change("train", "zero", to=2), (), 2, ["'train.zero'", "zero_stage", "SNW_config.json"]),
    (
        "no folds",
        "compare",
        lambda f: None,
        ("--models", "siamese", "--all-folds"),
        2,
        ["--all-folds", "data.split.folds is not given"],
    ),
    (
        "more folds than receptors",
        "compare",
        change("data", "split", to={"method": "receptor_cold", "clusters": "identical", "folds": 3}),
        ("--models", "siamese", "--all-folds"),
        2,
        ["at least 3 clusters", "there are 2"],
    ),
    ("no such network", "compare", lambda f: None, ("--models", "siam"), 2, ["--models", "'siamese'", "'siam'"]),
    ("config value", "train", change("train", "zero_stage", to=4), (), 2, ["train.zero_stage", "0, 1, 2 or 3"]),
    (
        "option's value",
        "train",
        lambda f: None,
        ("--zero", "4"),
        2,
        ["error: --zero: train.zero_stage", "2 or 3 (got 4)"],
    ),
    (
        "the file's fault",
        "train",
        change("train", "epochs", to=0),
        ("--zero", "4"),
        2,
        ["SNW_config.json: train.epochs", "(got 0)"],
    ),
    ("set to nothing", "train", lambda f: None, ("--set", "train.epochs"), 2, ["--set train.epochs", "train.epochs=5"]),
    (
        "set a wrong key",
        "embed",
        lambda f: None,
        ("--set", "train.epoch=5"),
        2,
        ["error: --set: unknown key 'train.epoch'"],
    ),
    (
        "set twice",
        "embed",
        lambda f: None,
        ("--set", "run.name=a", "--set", "run.name=b"),
        2,
        ["run.name: given twice"],
    ),
    ("no config", "embed", lambda f: (f / "SNW_config.json").unlink(), (), 2, ["SNW_config.json", "--config"]),
    ("unknown id", "embed", rewrite("pairs.csv", "l5,", "nobody,"), (), 2, ["pairs.csv:7", "nobody"]),
    ("stop codon", "embed", rewrite("ligands.fasta", "AAAA\n", "AA*A\n"), (), 2, ["ligands.fasta:2", "'*'", "l0"]),
    (
        "empty file",
        "embed",
        lambda f: (f / "receptors.fasta").write_text("") and None,
        (),
        2,
        ["receptors.fasta", "empty"],
    ),
    (
        "no weights",
        "embed",
        change("encoder", to={"name": "esmc", "weights": "no.pth"}),
        (),
        2,
        ["no.pth", ".pth file"],
    ),
    ("one-class val", "train", one_class_val, (), 2, ["val", "negative", "train.monitor", "'loss'"]),
    ("nothing to append to", "embed", lambda f: None, ("--append",), 2, ["no complete store to append to"]),
    ("layers", "embed", lambda f: None, ("--layer", "1,x"), 2, ["--layer '1,x'", "commas"]),
    (
        "too many files",
        "embed",
        change("store", to={"max_files": 20, "shard_rows": 64}),
        (),
        2,
        ["store.max_files = 20"],
    ),
    ("no store", "train", lambda f: None, (), 2, ["store.zarr", "snw-dist embed"]),
    ("fp16 on a CPU", "train", lambda f: None, ("--precision", "fp16"), 4, ["fp16", "bf16"]),
    ("profile", "embed", change("cluster", "profile", to="nowhere"), (), 2, ["nowhere", "devcluster"]),
    ("no slurm", "embed", lambda f: None, ("--cluster", "slurm"), 4, ["--cluster local"]),
]


@pytest.mark.parametrize(
    ("launcher", "mistake", "arguments", "code", "words"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_one_message_and_no_job(
    folder: Path,
    launcher: str,
    mistake: Callable[[Path], None],
    arguments: tuple[str, ...],
    code: int,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SLURM_CONF", raising=False)
    mistake(folder)
    done = launch(folder, launcher, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (folder / "runs" / "mistake" / "jobs").exists(), "a job was submitted all the same"


def test_appending_verifying_and_repairing(folder: Path) -> None:
    """Two array tasks one after another, as on a laptop; then more sequences; then damage."""
    store = folder / "runs" / "mistake" / "store.zarr"

    def run(launcher: str, *arguments: str, code: int = 0) -> str:
        done = launch(folder, launcher, *arguments)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    change("store", to={"shard_rows": 64, "chunk_rows": 8})(folder)
    said = run("embed", "--array", "2", "--verify-encoder", "--layer", "1,2", "--combine", "mean")
    assert re.search(r"14 distinct sequences, \d+ residues of 128 float16: \d+ shards?, at most \d+ files", said)
    assert json.loads((store / "zarr.json").read_text())["attributes"]["encoder"]["combine"] == "mean"
    layers = ("--layer", "1,2", "--combine", "mean")
    assert "holds every sequence of the input already" in run("embed", *layers)
    other = run("embed", "--layer", "1", code=2)
    assert "complete, but made with other settings (encoder.layer: [1, 2] there, [1] asked for)" in other
    with (folder / "ligands.fasta").open("a") as file:
        file.write(">new\nWWWWYYYYAAAA\n")
    assert "Add them: snw-dist embed --append" in run("embed", *layers, code=2)
    assert "made with other settings" in run("embed", "--append", code=2)
    assert "append_1: 1 distinct sequences, 12 residues" in run("embed", "--append", *layers)
    run("embed", "--verify", "--nodes", "2", *layers)
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    (store / "residues" / "c.1.0").write_bytes(b"rubbish")
    (store / "append_1" / "ids" / "zarr.json").unlink()
    said = run("embed", "--verify", *layers, code=3)
    assert "2 damaged" in said
    assert "residues/c.1.0: 7 bytes are not a whole shard" in said
    assert "append_1/ids/zarr.json: missing" in said
    assert "Mend it: snw-dist embed --repair" in said
    run("embed", "--repair", *layers)
    assert {p: p.read_bytes() for p in store.rglob("*") if p.is_file()} == before
    status = run("status")
    for job in ("embed-mistake", "append-mistake", "verify-mistake", "repair-mistake"):
        assert job in status
    assert "exclude each other" in run("embed", "--verify", "--repair", code=2)


def test_lower_case_is_read_and_said(folder: Path) -> None:
    rewrite("ligands.fasta", "ACDEF", "acdef")(folder)
    done = launch(folder, "prepare")
    assert done.returncode == 0, done.stderr
    [note] = [line for line in done.stdout.splitlines() if "lower case" in line or "lower-case" in line]
    assert "ligands.fasta:1" in note


def test_the_way_through_on_this_machine(folder: Path) -> None:
    """The local executor, one process for each node asked for; no Slurm, no root."""
    change("train", to={"max_steps": 4, "global_batch_size": 4, "warmup_steps": 1})(folder)
    change("model", to={"d_model": 16, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 8})(folder)
    change("evaluate", to={"bootstrap": 10, "controls": ["degree", "neighbour", "shuffled_ligand", "noise"]})(folder)
    for launcher, arguments in (
        ("embed", ("--nodes", "2")),
        ("train", ("--zero", "1", "--nodes", "2")),
        ("evaluate", ()),
    ):
        done = launch(folder, launcher, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    run = folder / "runs" / "mistake"
    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    assert "RANDOM weights" in metrics["provenance"]["encoder"]
    assert set(metrics["splits"]) == {"val", "test"}
    assert list(metrics["controls"]) == ["degree", "neighbour", "shuffled_ligand", "noise"]
    assert metrics["comparison"]["test"]["sentence"] in " ".join(done.stdout.split())
    assert load_calibration(run / "export").method == metrics["model"]["calibration"]["method"]
    again = launch(folder, "train", "--zero", "1", "--nodes", "2")
    assert again.returncode == 0, again.stderr
    other = launch(folder, "train", "--zero", "2", "--nodes", "2")  # any stage may go on with the state of any other
    assert other.returncode == 0, other.stderr
    rate = json.loads((folder / "SNW_config.json").read_text())["train"].get("learning_rate", 0.001)
    change("train", "learning_rate", to=2 * rate)(folder)
    refused = launch(folder, "train", "--zero", "1", "--nodes", "2")
    assert refused.returncode == 2
    assert f"train.learning_rate: {rate} then, {2 * rate} now" in refused.stdout + refused.stderr


def test_the_doctor_asks_on_the_ranks_themselves(folder: Path) -> None:
    done = launch(folder, "doctor", "--nodes", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if "│" in line]
    found = {row[1]: row[2] for row in rows if row[1]}  # what does not fit goes on in a row without a name
    assert [found.pop(name) for name in ("data", "store")] == ["warning"] * 2  # neither prepared nor embedded yet
    assert set(found.values()) == {"ok"}
    assert {"ranks", "packages", "shared folder", "DeepSpeed", "encoder weights", "network", "checkpoint"} <= set(found)


def test_the_doctor_names_what_is_wrong_and_how_to_mend_it(folder: Path) -> None:
    change("encoder", to={"name": "esmc", "weights": "nowhere.pth"})(folder)
    done = launch(folder, "doctor", "--nodes", "2")
    assert done.returncode == 4, done.stdout + done.stderr
    assert re.search(r"encoder weights: rank 0 on \S+: .*nowhere\.pth", done.stdout)
    assert "Traceback" not in done.stdout + done.stderr
