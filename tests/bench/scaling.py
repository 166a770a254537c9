"""How embedding scales: two real ranks against one, and a simulation of up to 4,096 ranks from measured costs.

Two ranks of one thread each run the real job on weights of the 300M shape (few layers); what counts is residues a
second from the first shard's start to the last commit. The simulation shares the shards of a collection of natural
lengths between ranks of uneven speed as the job does, and in three simpler ways. The cost of a shard is that of its
sequences' operations at the rate given; the time of the counter for a claim is measured, the round trip to it given.
"""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch._C._distributed_c10d import TCPStore

from hpc.ranks.communicator import Communicator
from hpc.ranks.work_queue import StoreCounter, guided_blocks
from snw_dist.embedding.esmc.architecture import EsmcShape
from snw_dist.embedding.run import own_shards
from snw_dist.embedding.store.plan import EmbeddingPlan
from snw_dist.embedding.weights.read import tiny_random_weights
from tests.bench.common import finish, medians, parser, say, seconds, show
from tests.bench.embed import esm_model
from tests.bench.embedding_job import job_rate
from tests.bench.natural import INNER, WIDTH, natural_lengths, natural_sequences

RANKS = (1, 4, 16, 64, 256, 1024, 4096)
SHAPE_300M = EsmcShape(960, 30, 2560)


def shard_costs(plan: EmbeddingPlan, shape: EsmcShape, flops_per_s: float) -> NDArray[np.float64]:
    """Seconds of each shard, by the operations of its sequences."""
    tokens = [(plan.lengths_of(shard) + 2).tolist() for shard in range(plan.num_shards)]
    return np.asarray([shape.flops(lengths, shape.num_layers) / flops_per_s for lengths in tokens])


def speeds(num_ranks: int) -> NDArray[np.float64]:
    """Ranks are not equally fast: 5 % of spread, and one in a hundred at half speed."""
    generator = np.random.default_rng(num_ranks)
    values: NDArray[np.float64] = np.clip(generator.normal(1.0, 0.05, num_ranks), 0.8, 1.2)
    values[generator.random(num_ranks) < 0.01] *= 0.5
    return values


def makespan(
    costs: NDArray[np.float64],
    blocks: Sequence[range],
    speed: NDArray[np.float64],
    service_s: float,
    round_trip_s: float,
) -> float:
    """Until the last rank ends when each takes the next block as soon as it is free; the counter serves one by one."""
    sums = np.concatenate([[0.0], np.cumsum(costs)])
    work = [sums[block.stop] - sums[block.start] for block in blocks]
    ranks = len(speed)
    free = [(work[rank] / speed[rank], rank) for rank in range(min(ranks, len(work)))]
    heapq.heapify(free)
    counter_free, last = 0.0, max(free)[0]
    for cost in work[ranks:]:
        now, rank = heapq.heappop(free)
        counter_free = max(now, counter_free) + service_s
        end = counter_free + round_trip_s + cost / speed[rank]
        last = max(last, end)
        heapq.heappush(free, (end, rank))
    return last


def static_makespan(costs: NDArray[np.float64], speed: NDArray[np.float64], neighbours: bool) -> float:
    """The same with the shards dealt out beforehand: in runs of neighbours, or every n-th to one rank."""
    ranks = len(speed)
    parts = np.array_split(costs, ranks) if neighbours else [costs[rank::ranks] for rank in range(ranks)]
    return max(float(part.sum()) / s for part, s in zip(parts, speed, strict=True))


def claim_seconds(clients: int = 4, count: int = 2000) -> float:
    """Time of the rendezvous store for one claim: real TCP clients ask it at the same time, as fast as they can."""
    server = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    stores = [TCPStore("127.0.0.1", server.port, wait_for_workers=False) for _ in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        counters = [StoreCounter(Communicator(0, 1, store, None), "bench") for store in stores]
        return seconds(lambda: list(pool.map(lambda c: [c.next() for _ in range(count)], counters))) / (clients * count)


def simulate(num_sequences: int, flops_per_s: float, round_trip_s: float) -> list[dict[str, float]]:
    """Share of the ranks' time spent computing, for each number of ranks and way of sharing."""
    sample = min(num_sequences, 5_000_000)
    plan = _plan_of_lengths(np.sort(natural_lengths(np.random.default_rng(0), sample)))
    costs = np.sort(np.repeat(shard_costs(plan, SHAPE_300M, flops_per_s), num_sequences // sample))
    costliest_first = costs[own_shards(len(costs), 0, 1)]
    service_s = claim_seconds()
    say(f"{len(costs):,} shards, {costs.mean() * 1e3:.1f} ms each; the counter takes {service_s * 1e6:.1f} us a claim")
    rows = []
    for ranks in RANKS:
        speed = speeds(ranks)
        ideal = float(costs.sum() / speed.sum())
        blocks = guided_blocks(len(costs), ranks)
        singles = [range(i, i + 1) for i in range(len(costs))]
        rows.append(
            {
                "ranks": ranks,
                "shards a rank": len(costs) / ranks,
                "guided blocks (ours)": ideal / makespan(costliest_first, blocks, speed, service_s, round_trip_s),
                "one by one": ideal / makespan(costliest_first, singles, speed, service_s, round_trip_s),
                "every n-th": ideal / static_makespan(costs, speed, neighbours=False),
                "neighbours": ideal / static_makespan(costs, speed, neighbours=True),
            }
        )
    return rows


def _plan_of_lengths(lengths: NDArray[np.int64]) -> EmbeddingPlan:
    """The plan of a collection of which only the lengths matter."""
    rows, used, starts = 16384, 0, [0]
    for index, length in enumerate(lengths.tolist()):
        if used + length > rows:
            starts.append(index)
            used = 0
        used += length
    starts.append(len(lengths))
    return EmbeddingPlan((), lengths, lengths, np.asarray(starts), rows, 64)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--sequences", type=int, default=400, help="of the two real ranks")
    options.add_argument("--layers", type=int, default=1)
    options.add_argument("--simulated", type=int, default=50_000_000, help="sequences of the simulation")
    options.add_argument("--gpu-tflops", type=float, default=300.0, help="assumed rate of a rank in the simulation")
    options.add_argument("--round-trip-us", type=float, default=100.0, help="assumed network round trip of a claim")
    chosen = options.parse_args()
    sequences = natural_sequences(chosen.sequences, 0.0)
    with tempfile.TemporaryDirectory() as name:
        weights = Path(name) / "esmc.pth"
        torch.save(esm_model(tiny_random_weights(WIDTH, chosen.layers, INNER)).state_dict(), weights)

        def rate(ranks: int) -> float:
            small = {"shard_rows": 1536}
            return job_rate(sequences, weights, ranks, tokens_per_batch=4096, store=small).residues_per_s

        found = medians(chosen.rounds, {f"{n}": partial(rate, n) for n in (1, 2)})
    rows = simulate(chosen.simulated, chosen.gpu_tflops * 1e12, chosen.round_trip_us * 1e-6)
    keys: dict[str, Any] = {"two_ranks_vs_one": round(found["2"] / found["1"], 3)}
    keys |= {f"balance_{row['ranks']}": round(row["guided blocks (ours)"], 4) for row in rows}
    if not chosen.json:
        columns = list(rows[0])
        cells = [[f"{row[c]:,.0f}" if c == "ranks" else f"{row[c]:.3f}" for c in columns] for row in rows]
        title = f"Share of the ranks' time spent computing, {chosen.simulated:,} sequences at the 300M shape"
        show(title, columns, cells)
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
