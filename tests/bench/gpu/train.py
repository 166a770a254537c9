"""Training on one device: the real job in fp32 and bf16, beside plain PyTorch.

The network is `pseudo_siamese`, base, in ZeRO stage 2. `cold` is the first pass over steps whose shapes are all new,
as in a run; `warm` the same steps again. Peers, plain PyTorch DDP with AdamW, in fp32 and by autocast in bf16: `files`
reads one `.pt` file a sequence with a worker for each processor and pads to the longest of the set; `padded` has such
batches on the device already; `grouped` has the project's own network and batches on the device already.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.bench.common import say
from tests.bench.gpu.scale import PRECISIONS, Scale
from tests.bench.gpu.train_jobs import FOUND
from tests.bench.train_inputs import mhc_binding, pep_receptor
from tests.bench.train_peers import WARM_UP
from tests.kit.ranks import run_ranks

OURS, PEERS = "tests.bench.gpu.train_jobs:ours", "tests.bench.gpu.plain:peers"


class Made(NamedTuple):
    """An input as it lies in its folder, for any version."""

    values: dict[str, Any]
    """What its configuration is made from."""
    cap: int
    """Of the padding: the longest sequence, rounded up to a multiple of 8."""


def measure(scale: Scale, place: Path) -> dict[str, Any]:
    """All figures of this part, by input; `place` keeps the inputs."""
    inputs = {title: _input(scale, title, place / title) for title in scale.inputs}
    found = _ours(scale, inputs, place)
    say(str(found))
    if scale.peers:
        for title, rates_of_peers in _peers(scale, inputs, place).items():
            found.setdefault(title, {}).update(rates_of_peers)
    return found


def _input(scale: Scale, title: str, folder: Path) -> Made:
    """Made unless it is there, as when another version has just been measured on it."""
    made = folder / "input.json"
    if not made.exists():
        if title == "mhc_binding":
            data = mhc_binding(folder, ("pt",))
        else:
            data = pep_receptor(folder, scale.pairs_per_step * (WARM_UP + scale.steps + 1), ("pt",))
        made.write_text(json.dumps({"values": data.values, "cap": data.cap}))
    return Made(**json.loads(made.read_text()))


def _config(scale: Scale, data: Made, folder: Path, **train: Any) -> dict[str, Any]:
    num_steps = WARM_UP + scale.steps * (1 + scale.repeats) + 1  # at whose beginning the last pass has ended
    size = {"global_batch_size": scale.pairs_per_step, "micro_batch_size": scale.pairs_per_step}
    seldom = {"max_steps": num_steps, "epochs": num_steps, "validate_every": 10**6, "save_every": 10**6}
    run = {**data.values["run"], "folder": str(folder)}
    section = {"device": scale.device, **size, **seldom, **train}
    return {**data.values, "run": run, "model": dict(scale.model), "train": section}


def _ours(scale: Scale, inputs: dict[str, Made], place: Path) -> dict[str, Any]:
    """One job for all, as a start takes longer than a training."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        trainings = [
            (title, precision, _config(scale, data, Path(name) / title / precision, precision=precision))
            for title, data in inputs.items()
            for precision in PRECISIONS
        ]
        results = _results(scale, OURS, {"trainings": trainings, "steps": scale.steps}, Path(name))
    found: dict[str, Any] = {}
    for one in results:
        found.setdefault(one["input"], {})[one["name"]] = rates(one, scale.steps, scale.pairs_per_step) | {
            "wait_share": round(one["waited"] / one["seconds"], 4),
            "first_step_s": round(one["first_step_s"], 2),
            "start_s": round(one["start_s"], 1),
        }
    return found


def _peers(scale: Scale, inputs: dict[str, Made], place: Path) -> dict[str, Any]:
    configs = [  # the files of the peers are in the folder of the input
        (title, _config(scale, data, Path(data.values["run"]["folder"])), [data.cap, data.cap])
        for title, data in inputs.items()
    ]
    values = {"inputs": configs, "precisions": PRECISIONS}
    values |= {"steps": scale.steps, "file_steps": scale.file_steps, "repeats": scale.repeats}
    found: dict[str, Any] = {}
    for one in _results(scale, PEERS, values, place):
        found.setdefault(one["input"], {})[one["name"]] = rates(one, one["num_steps"], scale.pairs_per_step)
    return found


def rates(one: dict[str, Any], num_steps: int, pairs_per_step: int) -> dict[str, float]:
    """Pairs a second of the first pass over the steps, and the median of the further ones."""
    pairs = num_steps * pairs_per_step
    return {"cold": round(pairs / one["seconds"]), "warm": round(pairs / median(one["again_s"]))}


def _results(scale: Scale, job: str, values: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """What a job of one rank leaves; where it fails, what it had found until then."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        env = {"OMP_NUM_THREADS": str(scale.threads)}
        ranks = run_ranks(job, 1, values, Path(name), 400, env, device=scale.device)
        file = Path(name) / "job" / FOUND
        lines = file.read_text().splitlines() if file.exists() else []
    if ranks[0].returncode != 0:
        say(ranks[0].log)
        assert lines, "the job has left nothing; its log stands above"
    return [json.loads(line) for line in lines]
