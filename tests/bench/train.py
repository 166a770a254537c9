"""Training: ours against plain PyTorch DDP on files, and against ESM C in the loop.

    python -m tests.bench.train --json

Ours is the real job: DeepSpeed ZeRO 2, the default network (pseudo_siamese, base) on rows of 960 values, its order,
batches, loop and log. The peer is DDP with the same network, the same batch (128 pairs), a DataLoader, all padded to
`normalized_sequence_length` (400 and 144 residues, what the longest sequence of the set needs), reading one `.pt` file
a sequence or HDF5. `capped by side` is the peer with a cap of its own for ligands, which not every network allows.
Before anything is timed, both must have the same losses on the same weights. Peers and ours run on as many ranks of
one thread as given, each bound to a processor. In the loop: frozen ESM C at the 300M shape in our own packed forward,
some sequences, extrapolated by residues. The share of the matrix rate counts real residues only, one rank of one
thread.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hpc.ranks.communicator import Communicator
from snw_dist.config import Precision, config_to_dict
from snw_dist.data.prepared import load_prepared
from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.model.build import build_model
from snw_dist.model.losses import contrastive_loss
from snw_dist.model.pseudo_siamese import PseudoSiamese
from snw_dist.predict.batches import make_batch
from snw_dist.predict.stored_pairs import indexed_pairs
from snw_dist.train.meter import Meter
from snw_dist.train.plan import TrainPlan
from tests.bench.common import finish, medians, parser, say, seconds, show
from tests.bench.train_inputs import WIDTH, Input, mhc_binding, pep_receptor
from tests.bench.train_peers import Padded, Pairs, PlainPair
from tests.kit.ranks import run_ranks

CPU = torch.device("cpu")
SAVE_EVERY_S = 60.0


def timed(
    job: str,
    data: Input,
    num_ranks: int,
    steps: int,
    device: Literal["cpu", "cuda"] = "cpu",
    precision: Precision = "fp32",
    threads: int = 1,
    **more: Any,
) -> dict[str, float]:
    """Pairs a second of a job, and its shares of waiting; the slowest rank counts."""
    with tempfile.TemporaryDirectory(dir=data.config.run.folder) as name:
        run = dataclasses.replace(data.config.run, folder=name if job == "ours" else data.config.run.folder)
        train = dataclasses.replace(data.config.train, device=device, precision=precision)
        config = config_to_dict(dataclasses.replace(data.config, run=run, train=train))
        values = {"config": config, "steps": steps, **more}
        entry_point, env = f"tests.bench.train_peers:{job}", {"OMP_NUM_THREADS": str(threads)}
        for rank in run_ranks(entry_point, num_ranks, values, Path(name), 1800, env, device=device):
            assert rank.returncode == 0, rank.log
        results = [json.loads(file.read_text()) for file in Path(name).glob("job/result-*.json")]
    whole, waited, stall = (max(result[key] for result in results) for key in ("seconds", "waited", "stall"))
    rate = steps * data.config.train.global_batch_size / whole
    return {"pairs/s": rate, "wait": waited / whole, "stall": stall / SAVE_EVERY_S, "save_s": stall}


def check_equal(data: Input) -> float:
    """Largest relative difference of loss and gradient between ours and a peer, on the same weights and pairs."""
    reader = StoreReader(data.config.store_path)
    table = indexed_pairs(load_prepared(data.config.data_folder), reader, "train")
    model = build_model(dataclasses.replace(data.config.model, dropout=0.0), WIDTH, seed=1)
    assert isinstance(model, PseudoSiamese)
    batch = make_batch(table, np.arange(24), reader, 2048, CPU)
    distance = model(batch.ligand, batch.receptor).distance
    assert distance is not None
    found = [_loss_and_gradient(model, distance, batch.target.label)]
    for source in ("pt", "h5py"):
        examples = Pairs(data.config, source)
        sides, label = Padded((data.cap, data.cap))([examples[i] for i in range(24)])
        found.append(_loss_and_gradient(model, PlainPair(model)(sides), label))
    return max(abs(a / b - 1) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def _loss_and_gradient(model: PseudoSiamese, distance: torch.Tensor, label: torch.Tensor) -> tuple[float, float]:
    model.zero_grad()
    loss = contrastive_loss(distance, label, model.margin).mean()
    loss.backward()
    return loss.item(), float(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).norm())


def machine_share(data: Input, pairs_per_s: float, steps: int = 2) -> float:
    """What the job of one rank shows as `machine_share` at this rate, by some of its steps."""
    reader, train = StoreReader(data.config.store_path), data.config.train
    table = indexed_pairs(load_prepared(data.config.data_folder), reader, "train")
    plan = TrainPlan(table.receptor, train.global_batch_size, 1, None, 1, train.pairs_per_receptor)
    meter = Meter.of(build_model(data.config.model, WIDTH, seed=1), WIDTH, "fp32", CPU, Communicator.alone())
    chosen = [plan.pairs_of_step(step) for step in range(steps)]
    needed = [meter.operations(reader.lengths, table.ligand[p], table.receptor[p], [np.arange(len(p))]) for p in chosen]
    return meter.share(sum(needed), sum(map(len, chosen)) / pairs_per_s)


def encoding_rate(residues: int, layers: int = 30) -> float:
    """Residues a second of ESM C at the 300M shape, one thread."""
    encoder = build_encoder(
        "esmc-tiny-random", tiny_random_weights(WIDTH, layers, 2560), CPU, "fp32", [-1], "concat", 4096
    )
    sequences = ["ACDEFGHIKLMNPQRSTVWY" * 10] * (residues // 200)
    rows = torch.empty(200 * len(sequences), WIDTH)
    return len(rows) / seconds(lambda: list(encoder.embed_into(rows, sequences)))


def residues_per_pair(data: Input) -> float:
    """Mean over the training pairs, each with both its sequences."""
    reader = StoreReader(data.config.store_path)
    table = indexed_pairs(load_prepared(data.config.data_folder), reader, "train")
    return float((reader.lengths[table.ligand] + reader.lengths[table.receptor]).mean())


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--ranks", type=int, default=2, help="of one thread each, for ours and the peers")
    options.add_argument("--steps", type=int, default=12, help="of ours in a round; peers make a third of it")
    options.add_argument("--pairs", type=int, default=640, help="of the first input")
    options.add_argument("--residues", type=int, default=1600, help="that ESM C embeds for the extrapolation")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="snw-train-") as name:
        inputs = {"pep_receptor": pep_receptor(Path(name) / "pep", chosen.pairs)}
        inputs["mhc_binding"] = mhc_binding(Path(name) / "mhc")
        for title, data in inputs.items():
            difference = check_equal(data)
            say(f"{title}: losses and gradients differ by {difference:.1e}")
            assert difference < 1e-3
        kept: dict[str, list[dict[str, float]]] = {}

        def run(key: str, job: str, title: str, ranks: int, steps: int, **more: Any) -> float:
            kept.setdefault(key, []).append(timed(job, inputs[title], ranks, steps, **more))
            say(f"{key}: {kept[key][-1]['pairs/s']:.1f} pairs/s")
            return kept[key][-1]["pairs/s"]

        variants: dict[str, Callable[[], float]] = {}
        fewer = max(2, chosen.steps // 3)
        for title, data in inputs.items():
            longer = chosen.steps if title == "pep_receptor" else 4 * chosen.steps
            variants[f"{title} ours"] = partial(run, f"{title} ours", "ours", title, chosen.ranks, longer)
            for source in ("pt", "h5py"):
                key, caps = f"{title} ddp {source}", [data.cap, data.cap]
                variants[key] = partial(run, key, "peer", title, chosen.ranks, fewer, source=source, caps=caps)
        key, caps = "pep_receptor ddp h5py, capped by side", [40, 400]
        variants[key] = partial(run, key, "peer", "pep_receptor", chosen.ranks, fewer, source="h5py", caps=caps)
        for ranks in (1, 2):
            key = f"pep_receptor ours, ranks {ranks}"
            variants[key] = partial(run, key, "ours", "pep_receptor", ranks, chosen.steps)
        pep = inputs["pep_receptor"]
        half = dataclasses.replace(pep.config.train, global_batch_size=pep.config.train.global_batch_size // 2)
        inputs["half"] = dataclasses.replace(pep, config=dataclasses.replace(pep.config, train=half))
        key = "pep_receptor ours, ranks 1, half the batch"
        variants[key] = partial(run, key, "ours", "half", 1, chosen.steps)
        rate = medians(chosen.rounds, variants)
        ours, one = rate["pep_receptor ours"], rate["pep_receptor ours, ranks 1"]
        share = machine_share(inputs["pep_receptor"], one)
        encoding = residues_per_pair(inputs["pep_receptor"]) / encoding_rate(chosen.residues)
    in_loop = 1 / (encoding + 1 / one)
    runs = [result for key, results in kept.items() if " ours" in key for result in results]
    keys: dict[str, Any] = {
        "ratio_ddp_pt": round(ours / rate["pep_receptor ddp pt"], 3),
        "ratio_ddp_h5py": round(ours / rate["pep_receptor ddp h5py"], 3),
        "ratio_ddp_pt_shared": round(rate["mhc_binding ours"] / rate["mhc_binding ddp pt"], 3),
        "ratio_in_loop": round(one / in_loop, 1),
        "gemm_share": round(share, 3),
        "data_wait_share": round(float(np.median([result["wait"] for result in runs])), 4),
        "save_stall_share": round(float(np.median([result["stall"] for result in runs])), 4),
        "two_ranks_vs_one": round(rate["pep_receptor ours, ranks 2"] / one, 3),
        "two_ranks_vs_one_with_as_much_each": round(
            rate["pep_receptor ours, ranks 2"] / rate["pep_receptor ours, ranks 1, half the batch"], 3
        ),
        "ratio_ddp_h5py_capped_by_side": round(ours / rate["pep_receptor ddp h5py, capped by side"], 3),
        "pairs_per_s": {name: round(value, 1) for name, value in rate.items()},
    }
    if not chosen.json:
        rows = [
            [name, f"{value:,.1f}", f"{np.median([r['wait'] for r in kept[name]]):.2%}"] for name, value in rate.items()
        ]
        rows.append(["ESM C in the loop, one rank", f"{in_loop:,.3f}", ""])
        show(f"128 pairs a step, {chosen.ranks} ranks of one thread", ["", "pairs/s", "waiting for data"], rows)
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
