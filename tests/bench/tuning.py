"""Memory of a rank when ESM C is trained too, for each ZeRO stage; on processors.

    python -m tests.bench.tuning --json

ESM C with random weights of 12 layers of 512 and Adam in float32, a pair network on top, two sequences a side and rank.
`peak` is resident memory at its highest during three steps, `held` that after them, both beyond what a rank takes
before it builds the network; the rank that takes most counts.
"""

from __future__ import annotations

import ctypes
import gc
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from hpc.job.runtime import Runtime
from hpc.machine.memory import peak_bytes, resident_bytes
from snw_dist.config import ModelSection
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.model.build import build_model
from snw_dist.model.losses import bce_loss
from snw_dist.model.pair import Side
from snw_dist.predict.tuned_encoder import with_encoder
from snw_dist.train.engine import Engine, prepare_deepspeed
from tests.bench.common import finish, parser, say, show
from tests.kit.ranks import run_ranks

WIDTH, LAYERS, INNER = 512, 12, 1408
RANK_OF_UPDATES = 8
STAGES = 0, 1, 2, 3
# With a fixed threshold every larger tensor has pages of its own, which go back at once; else glibc keeps them for
# others and what a rank once held is not seen to be free.
_MMAP_THRESHOLD = -3


def memory(config: dict[str, Any], runtime: Runtime) -> None:
    """One rank: build, train three steps, and leave the figures in bytes."""
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 20)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # DeepSpeed's imports use what torch has deprecated
        prepare_deepspeed(runtime.device)
        _train(_built(64, 1, None, 0, runtime), 1, runtime)  # what the first use of every part takes does not count
        before = _settled()
        engine = _built(WIDTH, LAYERS, RANK_OF_UPDATES if config["mode"] == "lora" else None, config["stage"], runtime)
        built = _settled()
        peak = built - before + peak_bytes(lambda: _train(engine, 3, runtime), runtime.device)
    result = {"peak": peak, "held": _settled() - before}
    (runtime.job_folder / f"memory-{runtime.comm.rank}.json").write_text(json.dumps(result))


def _built(width: int, layers: int, rank: int | None, stage: int, runtime: Runtime) -> Engine:
    weights = tiny_random_weights(width, layers, INNER).weights
    section = ModelSection(name="cross_attention", size="light")
    network = with_encoder(build_model(section, width, 1), weights, {"layers": [layers], "combine": "concat"}, rank)
    return Engine(
        network, zero_stage=stage, precision="fp32", micro_batch_size=2, accumulation_steps=1, learning_rate=1e-4,
        weight_decay=0.01, gradient_clipping=1.0, device=runtime.device,
    )  # fmt: skip


def _train(engine: Engine, steps: int, runtime: Runtime) -> None:
    draw, both = torch.Generator().manual_seed(runtime.comm.rank), torch.arange(2)
    ligand, receptor = (
        Side(
            torch.randint(4, 24, (2, length, 1), generator=draw),
            torch.ones(2, length, dtype=torch.bool),
            both,
            (length,) * 2,
        )
        for length in (12, 100)
    )
    for _ in range(steps):
        output = engine(ligand, receptor)
        engine.backward(bce_loss(output.logit, torch.tensor([0.0, 1.0])).sum())
        engine.step()


def _settled() -> int:
    """Resident memory, once the allocator has given back what it does not need."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident_bytes()


def measured(mode: str, stage: int, num_ranks: int) -> dict[str, float]:
    """MB of the rank that takes most."""
    with tempfile.TemporaryDirectory(prefix="snw-tuning-") as name:
        config = {"mode": mode, "stage": stage}
        for rank in run_ranks("tests.bench.tuning:memory", num_ranks, config, Path(name), 1200):
            assert rank.returncode == 0, rank.log
        results = [json.loads(file.read_text()) for file in Path(name).glob("job/memory-*.json")]
    say(f"{mode}, stage {stage}")
    return {key: round(max(result[key] for result in results) / 1e6) for key in ("peak", "held")}


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--ranks", type=int, default=4)
    chosen = options.parse_args()
    found = {
        f"{mode} zero {stage}": measured(mode, stage, chosen.ranks) for mode in ("full", "lora") for stage in STAGES
    }
    if not chosen.json:
        rows = [[name, f"{row['peak']:,}", f"{row['held']:,}"] for name, row in found.items()]
        show(f"MB of a rank, {chosen.ranks} ranks", ["mode, stage", "peak", "held"], rows)
    finish(chosen.json, found)


if __name__ == "__main__":
    main()
