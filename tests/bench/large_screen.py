"""A large screen on a real Slurm, with tasks that are killed, beside computing every pair.

    python -m tests.bench.large_screen --bundle runs/demo/bundle --folder /scratch/large

It starts a Slurm of eight nodes on this machine (`slurm/devcluster`, as root). Then it screens random libraries three
times: as an array of 8, of which two tasks are killed and one is requeued; as an array of 3; and by one product of all
vectors. The first two must have the same bytes. The lists must be those of the third, in every bit.

All tasks share the few cores of one machine, so the seconds say little. A killed task fails its array, and the other
tasks finish the screen.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
from pyarrow import ipc
from safetensors.torch import load_file

from hpc.disk.files import file_digest
from hpc.disk.sealed import read_sealed
from snw_dist.model.pair import compared_vectors
from snw_dist.scoring.scorer import PairScorer
from snw_dist.screen.towers import Towers
from tests.bench.common import finish, parser, say
from tests.kit.tiny import LETTERS
from tests.slurm.conftest import DEVCLUSTER, Cluster, Workplace, rank_pid, wait_until

TOP, SURE = 100, 1e-4
"""Hits of a receptor, and how much lower a product must be so that no rounding can put its pair on the list."""
CANDIDATES = 1000
PEPTIDE, PROTEIN = range(8, 12), range(180, 181)
UNITS = 40
"""Of each kind of work, about: so that tasks can be killed in the midst of it."""
HOURS_S = 4 * 3600.0


def write_random(file: Path, count: int, lengths: range, seed: int) -> None:
    """A FASTA file of random sequences, of which every hundredth stands there twice."""
    draw = np.random.default_rng(seed)
    with file.open("w", encoding="ascii") as out:
        for number in range(count):
            sequence = "".join(draw.choice(LETTERS, draw.integers(lengths.start, lengths.stop)))
            out.write(f">{file.stem}{number}\n{sequence}\n")
            if number % 100 == 0:
                out.write(f">{file.stem}{number}b\n{sequence}\n")


@contextmanager
def slurm(folder: Path) -> Iterator[Cluster]:
    """Eight nodes on this machine."""
    where = Path(f"/var/tmp/snw-devcluster-large-{os.getpid()}")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_"))}
    variables |= {"SNW_DEVCLUSTER_DIR": str(where), "SNW_DEVCLUSTER_PORT": "36000", "SNW_DEVCLUSTER_REQUEUE": "5"}
    variables |= {"SLURM_CONF": str(where / "slurm.conf"), "OMP_NUM_THREADS": "1"}
    with (folder / "devcluster.log").open("w") as log:
        subprocess.run([DEVCLUSTER, "up", "8"], env=variables, check=True, stdout=log, stderr=log)
        try:
            yield Cluster(where, variables)
        finally:
            subprocess.run([DEVCLUSTER, "down"], env=variables, check=True, stdout=log, stderr=log)


def disturbed(cluster: Cluster, place: Workplace, command: list[str], to: Path) -> int:
    """Start the array of 8, kill a task over the vectors and one over the scores, requeue one; its exit code."""
    process = place.start("screen", *command, "--to", str(to), "--array", "8")
    wait_for(to.parent / "vectors", "block_*.safetensors", 2, process)
    tasks = cluster.command("squeue", "-h", "-r", "-o", "%i", f"--name=screen-{to.name}").split()
    numbers = {task: cluster.command("squeue", "-h", "-r", "-j", task, "-o", "%A") for task in tasks}
    os.kill(rank_pid(numbers[tasks[0]], 0), signal.SIGKILL)
    say(f"{tasks[0]} killed over the vectors, of {len(tasks)}")
    wait_for(to, "unit_*.safetensors", 3, process)
    os.kill(rank_pid(numbers[tasks[1]], 0), signal.SIGKILL)
    cluster.command("scontrol", "requeue", tasks[2])
    say(f"{tasks[1]} killed and {tasks[2]} requeued over the scores")
    return process.wait(HOURS_S)


def wait_for(folder: Path, pattern: str, count: int, process: subprocess.Popen[str]) -> None:
    """Until so many files are there."""

    def there() -> bool:
        assert process.poll() is None, f"the screen ended with {process.returncode}"
        return len([*folder.rglob(pattern)]) >= count

    wait_until(there, f"{count} of {pattern}", HOURS_S)


def result(folder: Path) -> dict[str, str]:
    """Digest of every file of a result."""
    files = [path for name in ("hits", "csv", "result.json") for path in [folder / name, *(folder / name).rglob("*")]]
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(files) if path.is_file()}


def direct(folder: Path, margin: float) -> pd.DataFrame:
    """The lists by one product of all vectors.

    A float32 product of unit vectors is wrong by less than 1e-5. So whose product is `SURE` below that of the last of a
    list is not on it. The others are scored by the network's own function, and sorted.
    """
    ligands, names = vectors(folder, "ligand")
    receptors, owners = vectors(folder, "receptor")
    most, first = min(CANDIDATES, len(ligands)), min(TOP, len(ligands))
    index, score = np.empty((len(receptors), first), np.int64), np.empty((len(receptors), first), np.float32)
    product = torch.empty(len(ligands))  # one for all: freed and made anew, they would leave holes in the memory
    for number, receptor in enumerate(receptors):
        high = torch.mv(ligands, receptor, out=product).topk(most)
        last = high.values[first - 1] - SURE
        assert most == len(ligands) or high.values[-1] < last, "too many are close to the last of the list"
        near = torch.sort(high.indices[high.values >= last]).values
        exact = compared_vectors(ligands[near], receptor.expand(len(near), -1), margin).score.numpy()
        order = np.argsort(-exact, kind="stable")[:first]
        index[number], score[number] = near.numpy()[order], exact[order]
    return pd.DataFrame({"receptor": np.repeat(owners, first), "ligand": names[index.ravel()], "score": score.ravel()})


def vectors(folder: Path, side: str) -> tuple[torch.Tensor, np.ndarray[tuple[int], np.dtype[np.object_]]]:
    """[n, size] vectors and [n] sequences, read with safetensors and pyarrow alone."""
    # Beside the library there are sets of what its hits are compared with, such as receptors of the training.
    found = max(folder.glob(f"{side}*"), key=lambda one: (one / "sequences.arrow").stat().st_size)
    with ipc.open_file(found / "sequences.arrow") as file:
        table = file.read_all()
    sequences = table.column(0).to_numpy().astype(object)
    blocks = [load_file(path)["vectors"] for path in sorted(found.glob("block_*.safetensors"))]
    return torch.cat(blocks).float(), sequences


def found_lists(folder: Path) -> pd.DataFrame:
    """The lists of a result, a row for each pair of sequences."""
    sequence_of = dict(records((folder.parent / "r.fasta").read_text(encoding="ascii")))
    columns = ["receptor", "ligand_sequence", "snw_score", "snw_rank"]
    rows = pq.read_table(folder / "hits", columns=columns).to_pandas()
    rows["receptor"] = rows["receptor"].map(sequence_of)
    rows = rows.drop_duplicates(["receptor", "ligand_sequence"]).sort_values(["receptor", "snw_rank"])
    return rows.rename(columns={"ligand_sequence": "ligand", "snw_score": "score"}).drop(columns="snw_rank")


def records(text: str) -> Iterator[tuple[str, str]]:
    """Id and sequence of each record of what `write_random` wrote."""
    lines = text.splitlines()
    return zip((line[1:] for line in lines[::2]), lines[1::2], strict=True)


def different(found: pd.DataFrame, expected: pd.DataFrame) -> int:
    """Places of lists that hold another ligand or other bits of a score."""
    expected = expected.sort_values("receptor", kind="stable")
    assert len(found) == len(expected), (len(found), len(expected))
    bits = [one["score"].to_numpy(np.float32).view(np.int32) for one in (found, expected)]
    same = bits[0] == bits[1]
    for column in ("receptor", "ligand"):
        same &= found[column].to_numpy() == expected[column].to_numpy()
    return int((~same).sum())


def main() -> None:
    """Screen, compare, and show."""
    options = parser(__doc__.splitlines()[0])
    options.add_argument("--bundle", type=Path, required=True, metavar="FOLDER", help="of one two-tower network")
    options.add_argument("--folder", type=Path, required=True, help="a new one; gets some gigabytes")
    options.add_argument("--ligands", type=int, default=1_000_000)
    options.add_argument("--receptors", type=int, default=10_000)
    asked = options.parse_args()
    folder: Path = asked.folder.absolute()
    folder.mkdir(parents=True)
    write_random(folder / "l.fasta", asked.ligands, PEPTIDE, 1)
    write_random(folder / "r.fasta", asked.receptors, PROTEIN, 2)
    command = ["--bundle", str(asked.bundle.absolute()), "--ligands", "l.fasta", "--receptors", "r.fasta"]
    command += ["--vectors", "vectors", "--top", str(TOP), "--device", "cpu", "--time-min", "240"]
    command += ["--unit-pairs", str(asked.ligands * asked.receptors // UNITS), "--block-residues"]
    command += [str(asked.ligands * PEPTIDE.stop // UNITS), "--cluster", "slurm", "--profile", "devcluster"]
    started = time.monotonic()
    taken: dict[str, float] = {}

    def done(what: str) -> None:
        nonlocal started
        taken[what] = round(time.monotonic() - started, 1)
        started = time.monotonic()
        say(f"{what}: {taken[what]} s")

    with slurm(folder) as cluster:
        done("eight nodes")
        place = Workplace(folder, cluster.environment)
        code = disturbed(cluster, place, command, folder / "eight")
        done("array of 8")
        place.run("screen", *command, "--to", "three", "--array", "3", timeout_s=HOURS_S)
        done("array of 3, with the vectors of the first")
    expected = direct(folder / "vectors", Towers(PairScorer.load(asked.bundle, device="cpu")).margin)
    done("every pair directly")
    eight, three = result(folder / "eight"), result(folder / "three")
    keys = {
        "pairs": read_sealed(folder / "three" / "result.json")["pairs"],
        "exit_code_with_killed_tasks": code,
        "files": len(eight),
        "files_with_other_bytes": sum(eight.get(name) != three.get(name) for name in {*eight, *three}),
        "places_of_lists": len(expected),
        "places_that_differ_from_direct": different(found_lists(folder / "three"), expected),
        "seconds": taken,
    }
    finish(asked.json, keys)


if __name__ == "__main__":
    main()
