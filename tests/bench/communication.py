"""What the ranks of a training send each other in a step: measured with up to 4 of them, worked out for up to 64.

    python -m tests.bench.communication --json

Real ranks train over gloo on this machine. Every collective of one step is caught where PyTorch takes it, with the
bytes of its whole buffer: what is reduced, or what is there once it is gathered. These bytes do not depend on the
number of ranks but for padding, which the measurement shows. What a rank sends for a buffer follows from the ring
algorithm, which NCCL takes for large buffers: 2 (N - 1) / N of it to all-reduce, (N - 1) / N to reduce-scatter or to
all-gather. Beyond the ranks that
were started the figures are that formula, not a measurement.

The seconds are those of sending alone, at a rate and a delay that are given: `--gbytes-per-s` a rank and `--delay-us`
for each of a collective's 2 (N - 1) or N - 1 rounds. What overlaps with computing costs less.
"""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hpc.job.runtime import Runtime
from snw_dist.config import ModelSection
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.model.build import build_model
from snw_dist.model.pair import Side
from snw_dist.predict.tuned_encoder import with_encoder
from snw_dist.train import engine as engine_module
from snw_dist.train.engine import Engine, prepare_deepspeed
from tests.bench.common import finish, parser, say, show
from tests.kit.ranks import run_ranks

RANKS = (2, 4, 8, 16, 32, 64)
STAGES = {
    "zero 0": (0, False),
    "zero 1": (1, False),
    "zero 2": (2, False),
    "zero 2, to owners": (2, True),
    "zero 3": (3, False),
}
"""ZeRO's stage, and whether each piece of a gradient is reduced to the rank that owns it, not all to all."""
PRECISIONS = ("fp32", "bf16")
NETWORKS = ("base", "large", "esmc")
"""Pair networks on rows of 960 values; ESM C of 6 layers of 512 under a pair network, trained in whole."""
WIDTH, ESMC = 960, (512, 6, 1408)
_KINDS = {
    "allreduce_": "all_reduce",
    "_reduce_scatter_base_": "reduce_scatter",
    "reduce_scatter_": "reduce_scatter",
    "reduce_scatter_tensor_coalesced_": "reduce_scatter",
    "_allgather_base_": "all_gather",
    "allgather_": "all_gather",
    "allgather_into_tensor_coalesced_": "all_gather",
    "broadcast_": "broadcast",
    "reduce_": "reduce",
}


class Volume(NamedTuple):
    """The collectives of one kind in a step."""

    calls: int
    num_bytes: int
    """Of their whole buffers."""


def share_sent(kind: str, ranks: int) -> float:
    """What a rank sends, as a share of the whole buffer: ring algorithms, and a chain for one source or target."""
    ring = (ranks - 1) / ranks
    return {"all_reduce": 2 * ring, "reduce_scatter": ring, "all_gather": ring, "broadcast": ring, "reduce": ring}[kind]


def rounds(kind: str, ranks: int) -> int:
    """Messages of a ring that follow each other."""
    return (2 if kind == "all_reduce" else 1) * (ranks - 1)


def bytes_sent(volumes: Mapping[str, Volume], ranks: int) -> float:
    """Bytes that each of `ranks` ranks sends in a step."""
    return sum(volume.num_bytes * share_sent(kind, ranks) for kind, volume in volumes.items())


def seconds_sending(volumes: Mapping[str, Volume], ranks: int, bytes_per_s: float, delay_s: float) -> float:
    """How long that takes, when nothing else is done meanwhile."""
    delays = sum(volume.calls * rounds(kind, ranks) for kind, volume in volumes.items())
    return bytes_sent(volumes, ranks) / bytes_per_s + delays * delay_s


def expected_bytes(stage: int, num_trained: int, item: int) -> int:
    """Bytes of the buffers of a step by the design of ZeRO (Rajbhandari et al. 2020), in numbers of `item` bytes.

    Stage 0 reduces all gradients to all; 1 and 2 reduce each to its owner and gather the weights after the step; 3
    gathers the weights for the forward and for the backward pass, and reduces each gradient to its owner.
    """
    return num_trained * item * {0: 1, 1: 2, 2: 2, 3: 3}[stage]


class Counter(TorchDispatchMode):
    """Adds up the collectives that pass."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Volume] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d" and (kind := _KINDS.get(func._schema.name.removeprefix("c10d::"))):
            size = max(_bytes(argument) for argument in args)
            before = self.found.get(kind, Volume(0, 0))
            self.found[kind] = Volume(before.calls + 1, before.num_bytes + size)
        return func(*args, **(kwargs or {}))


def _bytes(argument: Any) -> int:
    if isinstance(argument, torch.Tensor):
        return argument.numel() * argument.element_size()
    return sum(map(_bytes, argument)) if isinstance(argument, list | tuple) else 0


def volume(config: dict[str, Any], runtime: Runtime) -> None:
    """One rank: train some steps, and leave what the last one sent."""
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # DeepSpeed's imports use what torch has deprecated
        prepare_deepspeed(runtime.device)
        if config["to_owners"]:
            _reduce_to_owners()
        network = _network(config["network"])
        num_trained = sum(parameter.numel() for parameter in network.parameters())
        engine = Engine(
            network, zero_stage=config["stage"], precision=config["precision"], micro_batch_size=2,
            accumulation_steps=1, learning_rate=1e-4, weight_decay=0.01, gradient_clipping=1.0, device=runtime.device,
        )  # fmt: skip
        for _ in range(3):  # ZeRO-3 learns in the first ones in which order parameters are needed
            with Counter() as counter:
                _step(engine, config["network"] == "esmc", runtime.comm.rank)
    result = {"trained": num_trained, "found": counter.found}
    (runtime.job_folder / f"volume-{runtime.comm.rank}.json").write_text(json.dumps(result))


def _reduce_to_owners() -> None:
    """Tell DeepSpeed to reduce each piece of a gradient to the rank that owns it, not all to all."""
    settings = engine_module.deepspeed_settings

    def changed(*arguments: Any) -> dict[str, Any]:
        found = settings(*arguments)
        found["zero_optimization"]["use_multi_rank_bucket_allreduce"] = False
        return found

    engine_module.deepspeed_settings = changed


def _network(name: str) -> torch.nn.Module:
    if name != "esmc":
        return build_model(ModelSection(size=name), WIDTH, 1)  # type: ignore[arg-type]
    width, layers, inner = ESMC
    weights = tiny_random_weights(width, layers, inner).weights
    network = build_model(ModelSection(size="light"), width, 1)
    return with_encoder(network, weights, {"layers": [layers], "combine": "concat"}, None)


def _step(engine: Engine, takes_residues: bool, rank: int) -> None:
    draw, both = torch.Generator().manual_seed(rank), torch.arange(2)
    sides = []
    for length in (12, 40):
        x = torch.randint(4, 24, (2, length, 1), generator=draw)
        x = x if takes_residues else torch.randn(2, length, WIDTH, generator=draw)
        sides.append(Side(x, torch.ones(2, length, dtype=torch.bool), both, (length, length)))
    engine.backward(engine(*sides).score.float().sum())  # any loss sends the same
    engine.step()


def measured(
    network: str, stage: int, precision: str, num_ranks: int, to_owners: bool = False
) -> tuple[int, dict[str, Volume]]:
    """How many parameters are trained, and the collectives of one step on rank 0."""
    with tempfile.TemporaryDirectory(prefix="snw-communication-") as name:
        config = {"network": network, "stage": stage, "precision": precision, "to_owners": to_owners}
        for rank in run_ranks("tests.bench.communication:volume", num_ranks, config, Path(name), 600):
            assert rank.returncode == 0, rank.log
        result = json.loads((Path(name) / "job" / "volume-0.json").read_text())
    say(f"{network} {precision}, stage {stage}, {num_ranks} ranks: {result}")
    return result["trained"], {kind: Volume(*found) for kind, found in result["found"].items()}


def row(
    network: str, way: str, precision: str, measured_ranks: Sequence[int], bytes_per_s: float, delay_s: float
) -> dict[str, Any]:
    """Everything about one network under one stage."""
    stage, to_owners = STAGES[way]
    by_ranks = {ranks: measured(network, stage, precision, ranks, to_owners) for ranks in measured_ranks}
    trained, volumes = by_ranks[max(measured_ranks)]
    item = 2 if precision == "bf16" else 4
    total = {ranks: sum(one.num_bytes for one in found.values()) for ranks, (_, found) in by_ranks.items()}
    return {
        "trained": trained,
        "collectives": {kind: list(found) for kind, found in volumes.items()},
        "buffers_mb": {ranks: round(size / 1e6, 3) for ranks, size in total.items()},
        "of_expected": round(total[max(measured_ranks)] / expected_bytes(stage, trained, item), 3),
        "sent_mb": {ranks: round(bytes_sent(volumes, ranks) / 1e6, 2) for ranks in RANKS},
        "ms": {ranks: round(1e3 * seconds_sending(volumes, ranks, bytes_per_s, delay_s), 2) for ranks in RANKS},
    }


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--networks", default=",".join(NETWORKS))
    options.add_argument("--precisions", default=",".join(PRECISIONS))
    options.add_argument("--ranks", default="1,2,4", help="how many are started")
    options.add_argument("--gbytes-per-s", type=float, default=25.0, help="what a rank sends in a second")
    options.add_argument("--delay-us", type=float, default=10.0, help="from one rank to the next")
    chosen = options.parse_args()
    rate, delay = chosen.gbytes_per_s * 1e9, chosen.delay_us * 1e-6
    ranks = [int(number) for number in chosen.ranks.split(",")]
    keys = {
        f"{network} {precision} {way}": row(network, way, precision, ranks, rate, delay)
        for network in chosen.networks.split(",")
        for precision in chosen.precisions.split(",")
        for way in STAGES
    }
    if not chosen.json:
        columns = ["network", "calls", "of expected", *(f"{ranks} ranks, MB / ms" for ranks in RANKS)]
        cells = [
            [name, str(sum(calls for calls, _ in one["collectives"].values())), f"{one['of_expected']:.3f}"]
            + [f"{one['sent_mb'][ranks]:,.1f} / {one['ms'][ranks]:,.2f}" for ranks in RANKS]
            for name, one in keys.items()
        ]
        show("A rank sends in a step (measured with up to 4 ranks, beyond that by formula)", columns, cells)
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
