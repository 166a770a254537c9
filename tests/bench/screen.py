"""The best 100 of a library for each receptor: ours, faiss, scikit-learn, plain torch, the product alone, and D-SCRIPT.

    python -m tests.bench.screen --json

All start from the same vectors in memory, of 64 and of 256 numbers, random in all directions, and use as many threads
as torch has. What they find is compared with ours by the network's own score. Ours is compared with the direct
computation, bit for bit, for some receptors. They take turns, and the median counts. D-SCRIPT starts from embeddings in
memory, of a peptide and the groove of a receptor; its weights are random.

`gemm_share` is the rate of ours by that of a float32 product alone, in the blocks of the engine. `product` says in
which type the engine multiplied here; `gemm_share_64_float32` is its share where that is float32. The seconds of
processors are shown because they hardly change where a machine does other work, too.

Memory is that of a process of its own, with the library in a mapped file: what it holds besides pages of files. Python
and torch are part of it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from snw_dist.model.pair import compared_vectors
from snw_dist.screen.product import best as engine
from snw_dist.screen.product.best import best_of
from snw_dist.screen.product.merge import Best
from snw_dist.screen.product.vectors import fastest
from tests.bench import screen_peers as peers
from tests.bench.common import finish, medians, parser, say, seconds, show
from tests.kit.vectors import directly, same, unit_vectors

SIZES, TOP, MARGIN = (64, 256), 100, 1.0
PEERS: dict[str, tuple[str, Callable[[torch.Tensor, torch.Tensor, int], peers.Numbers]]] = {
    "faiss, distance": ("faiss", peers.faiss_knn),
    "faiss, product": ("faiss", peers.faiss_product),
    "scikit-learn": ("sklearn", peers.scikit_learn),
    "torch mm + topk": ("torch", peers.plain_torch),
}
MEMORY = {"peak_gib_1e8": (10_000, 10_000), "peak_gib_1e10": (1_000_000, 10_000)}
"""Ligands and receptors."""
Tensors = tuple[torch.Tensor, torch.Tensor]


def ours(sides: Tensors, float32: bool = False) -> Best:
    """As a screen calls it, or with the product in float32."""
    with mock.patch.object(engine, "fastest", return_value=torch.float32) if float32 else nullcontext():
        return best_of(*sides, TOP, MARGIN)


def agrees(sides: Tensors, best: Best, numbers: peers.Numbers) -> float:
    """Largest difference of the network's scores at any place of the lists."""
    worst = 0.0
    for row, chosen in enumerate(torch.from_numpy(numbers)):
        left = sides[0][chosen]
        score = compared_vectors(left, sides[1][row].expand_as(left), MARGIN).score.sort(descending=True).values
        worst = max(worst, float((score - best.score[row]).abs().max()))
    return worst


def check(sides: Tensors, size: int) -> None:
    """That all find the same: said, and an error where ours is not the direct computation."""
    best = ours(sides)
    some = [0, len(sides[1]) // 2, len(sides[1]) - 1]
    assert same(Best(best.score[some], best.index[some]), directly(sides[0], sides[1][some], TOP, MARGIN))
    assert same(ours(sides, float32=True), best)
    say(f"{size}: ours is the direct computation, bit for bit")
    for name, (module, search) in PEERS.items():
        if peers.found(module):
            few = sides[0], sides[1][:64]
            found = agrees(few, best, search(*few, TOP))
            say(f"{size}: {name} finds the same, scores differ by up to {found:.1e}")
            assert found < 1e-5, name


def rates(sides: Tensors, rounds: int) -> tuple[dict[str, float], dict[str, str]]:
    """Pairs a second of each way, and what its rounds took; what is not installed is left out."""
    pairs = len(sides[0]) * len(sides[1])
    halves = sides[0].bfloat16(), sides[1].bfloat16()
    work: dict[str, Callable[[], object]] = {
        "ours": partial(ours, sides),
        "product alone, float32": partial(peers.product_alone, *sides),
        "ours, product in float32": partial(ours, sides, float32=True),
        "product alone, bfloat16": partial(peers.product_alone, *halves),
    }
    for name, (module, search) in PEERS.items():
        if peers.found(module):
            work[name] = partial(search, *sides, TOP)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in work}

    def measured(name: str) -> float:
        before = time.process_time()
        taken[name].append((seconds(work[name]), time.process_time() - before))
        return taken[name][-1][0]

    times = medians(rounds, {name: partial(measured, name) for name in work})
    spread = {
        name: f"{min(one)[0]:.2f}-{max(one)[0]:.2f} s, {statistics.median(cpu for _, cpu in one):.2f} of processors"
        for name, one in taken.items()
    }
    return {name: pairs / spent for name, spent in times.items()}, spread


def held_bytes() -> int:
    """Memory of this process that is not that of files."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def memory_child(file: str, ligands: int, receptors: int) -> None:
    """In a process of its own: prints the most bytes held, and the seconds."""
    library = torch.from_numpy(np.memmap(file, np.float32, "r+", shape=(ligands, SIZES[0])))
    rows, most, done = unit_vectors(receptors, SIZES[0], 2), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.01):
            most = max(most, held_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    spent = seconds(lambda: best_of(library, rows, TOP, MARGIN))
    done.set()
    watcher.join()
    sys.stdout.write(f"{most} {spent}\n")


def memory(ligands: int, receptors: int) -> tuple[float, float]:
    """Most GiB held, and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors"
        with file.open("wb") as out:
            for first in range(0, ligands, 100_000):
                unit_vectors(min(100_000, ligands - first), SIZES[0], first).numpy().tofile(out)
        call = f"from tests.bench.screen import memory_child; memory_child({str(file)!r}, {ligands}, {receptors})"
        printed = subprocess.run([sys.executable, "-c", call], check=True, capture_output=True, text=True).stdout
    most, spent = printed.split()
    return int(most) / 2**30, float(spent)


def measure(size: int, ligands: int, receptors: int, rounds: int) -> dict[str, Any]:
    """The keys of one size of vectors."""
    sides = unit_vectors(ligands, size, 1), unit_vectors(receptors, size, 2)
    check(sides, size)
    rate, spread = rates(sides, rounds)
    rows = [(name, f"{one:.3g}", f"{rate['ours'] / one:.2f}", spread[name]) for name, one in rate.items()]
    show(f"{size} numbers, best {TOP}", ("", "pairs a second", "ours by it", "a round"), rows)
    gemm, faiss = rate["product alone, float32"], [one for name, one in rate.items() if name.startswith("faiss")]
    return {
        f"pairs_per_s_{size}": rate["ours"],
        f"ratio_faiss_{size}": rate["ours"] / max(faiss) if faiss else None,
        f"gemm_share_{size}": rate["ours"] / gemm,
        f"gemm_share_{size}_float32": rate["ours, product in float32"] / gemm,
        f"product_{size}": str(fastest(size, torch.device("cpu"))),
    }


def main() -> None:
    """Measure, show, and print the keys."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--ligands", type=int, default=1_000_000)
    options.add_argument("--receptors", type=int, default=1_000)
    options.add_argument("--no-memory", action="store_true", help="leave out the 10^10 pairs")
    given = options.parse_args()
    for module, command in peers.INSTALL.items():
        if not peers.found(module):
            say(f"{module} is not installed and is left out: {command}")
    keys: dict[str, Any] = {"pairs": given.ligands * given.receptors, "threads": torch.get_num_threads()}
    for size in SIZES:
        keys |= measure(size, given.ligands, given.receptors, given.rounds)
    if peers.found("dscript"):
        predict = peers.d_script()
        predict(3)
        keys["dscript_pairs_per_s"] = medians(given.rounds, {"D-SCRIPT": partial(predict, 30)})["D-SCRIPT"]
        keys["ratio_dscript"] = keys["pairs_per_s_64"] / keys["dscript_pairs_per_s"]
    if not given.no_memory:
        for name, (ligands, receptors) in MEMORY.items():
            keys[name], spent = memory(ligands, receptors)
            say(f"{ligands:,} x {receptors:,}: {keys[name]:.3f} GiB, {spent:.1f} s")
            keys[name.replace("peak_gib", "seconds")] = spent
    finish(given.json, keys)


if __name__ == "__main__":
    started = time.perf_counter()
    main()
    say(f"{time.perf_counter() - started:.0f} s")
