"""Batches from measured memory, and what happens when one does not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpc.machine.memory import available_bytes, peak_bytes
from hpc.ranks.communicator import Communicator
from snw_dist.embedding.esmc.batch_size import agreed_tokens_per_batch, measured_tokens_per_batch, tokens_for
from snw_dist.embedding.esmc.packed import PackedEsmc
from snw_dist.embedding.weights.read import tiny_random_weights

CPU = torch.device("cpu")
# The limit is set once everything is loaded: so much more address space than now, and not a byte beyond.
STARVED = """
import logging, resource, sys, torch
from pathlib import Path
from snw_dist.embedding.encoder import build_encoder
from snw_dist.embedding.weights.read import tiny_random_weights
logging.basicConfig(format="%(message)s", stream=sys.stdout)
torch.set_num_threads(1)
encoder = build_encoder(
    "esmc-tiny-random", tiny_random_weights(960, 1, 2560), torch.device("cpu"), "fp32", [-1], "concat", 512
)
sequences = ["ACDEFGHIKL" * 30] * 60
expected = encoder.embed(sequences[:1])
rows = torch.empty(60 * 300, 960)
encoder.tokens_per_batch = 65536
size = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmSize"))
limit = int(size.split()[1]) * 1024 + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, -1))
try:
    counts = [batch.residues for batch in encoder.embed_into(rows, sequences)]
except Exception as error:
    print(type(error).__name__, error)
    sys.exit()
assert sum(counts) == len(rows)
assert all(torch.equal(part, expected) for part in rows.split(300))
print("all rows are right,", encoder.tokens_per_batch)
"""


def starve(megabytes: int) -> str:
    command = [sys.executable, "-W", "error", "-c", STARVED, str(megabytes)]
    done = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_batch_that_does_not_fit_is_halved_and_said() -> None:
    """The real thing: the process may take 220 MB more, and 60 sequences at once need twice as much."""
    said = starve(220)
    assert "out of memory with 18120 tokens in a batch: going on with 9060" in said
    assert "all rows are right" in said


def test_not_even_one_sequence_fits() -> None:
    said = starve(2)
    assert "EnvironmentProblem out of memory with a single sequence of 300 residues (ACDEFGHIKLACDEFGHIKL...)" in said


@pytest.mark.parametrize(
    ("free", "per_token", "most", "expected"),
    [
        (10**9, 1000, 4096, 4096),  # more would fit
        (10**9, 100_000, 65536, 5888),  # 0.6 of it, in whole 256
        (10**9, 10**9, 65536, 2048),  # one window at least
    ],
)
def test_tokens_for_free_memory(free: int, per_token: int, most: int, expected: int) -> None:
    assert tokens_for(free, per_token, most) == expected


def test_the_peak_is_seen_and_not_that_of_before() -> None:
    def use(megabytes: int) -> None:
        torch.ones(megabytes * 2**18).sum()

    use(300)
    assert 90 * 2**20 < peak_bytes(lambda: use(100), CPU) < 200 * 2**20
    assert peak_bytes(lambda: None, CPU) < 30 * 2**20
    assert 2**20 < available_bytes(CPU) < 2**50


def test_the_number_is_kept_while_the_store_is_filled(tmp_path: Path) -> None:
    model = PackedEsmc(tiny_random_weights(64, 1, 64).weights, CPU, torch.float32)
    assert measured_tokens_per_batch(model, 1) == 4096
    comm = Communicator.alone()
    assert agreed_tokens_per_batch(model, comm, 1, tmp_path) == 4096
    (file,) = tmp_path.iterdir()
    file.write_text("2048")  # by an earlier attempt on a smaller node
    assert agreed_tokens_per_batch(model, comm, 1, tmp_path) == 2048
    file.write_text("")  # cut off by a kill
    assert agreed_tokens_per_batch(model, comm, 1, tmp_path) == 4096
