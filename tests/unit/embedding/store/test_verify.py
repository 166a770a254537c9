"""`embed --verify` finds every damage, and `embed --repair` brings the same bytes back."""

from __future__ import annotations

import dataclasses
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from hpc.errors import CorruptError, InputError
from hpc.job.runtime import Runtime
from hpc.progress import ProgressFile
from hpc.ranks.communicator import Communicator
from hpc.ranks.preemption import PreemptionGuard
from hpc.ranks.topology import Topology
from snw_dist.config import config_from_dict
from snw_dist.data.prepare import prepare
from snw_dist.embedding.repair_job import run_repair, run_verification
from snw_dist.embedding.run import run_append, run_embedding
from snw_dist.embedding.store.commits import shard_path
from snw_dist.embedding.store.header import read_header
from tests.kit.embedding_tools import files_of, flip_bit, put, random_sequences

LIGANDS = random_sequences([5, 6, 9, 9, 12, 14, 15, 20, 22, 25], seed=1, letters="ACDEFGHIKLMNPQRSTVWY")
RECEPTORS = random_sequences([30, 40, 41, 60], seed=2, letters="ACDEFGHIKLMNPQRSTVWY")
LATER = random_sequences([7, 50], seed=3, letters="ACDEFGHIKLMNPQRSTVWY")


def write_input(folder: Path, ligands: list[str], receptors: list[str]) -> None:
    for kind, sequences in (("ligands", ligands), ("receptors", receptors)):
        text = "".join(f">{kind}{i}\n{s}\n" for i, s in enumerate(sequences))
        (folder / f"{kind}.fasta").write_text(text)
    rows = [f"ligands{i},receptors{i % len(receptors)},{i % 2},{('train', 'val', 'test')[i % 3]}" for i in range(9)]
    (folder / "pairs.csv").write_text("\n".join(["ligand_id,receptor_id,label,split", *rows]) + "\n")


def values_of(folder: Path) -> dict[str, Any]:
    return {
        "run": {"name": "r", "folder": str(folder / "runs")},
        "data": {name: str(folder / f"{name}.fasta") for name in ("ligands", "receptors")}
        | {"pairs": str(folder / "pairs.csv")},
        "store": {"path": str(folder / "s"), "shard_rows": 64, "chunk_rows": 8},
        "encoder": {"tokens_per_batch": 500},
    }


def work(entry_point: Callable[[dict[str, Any], Runtime], None], folder: Path) -> None:
    """Run an entry point as the only rank, in this process."""
    comm = Communicator.alone()
    runtime = Runtime(
        Topology(),
        comm,
        PreemptionGuard(comm),
        ProgressFile(folder / "progress", 0),
        "attempt-0",
        folder / "job",
        torch.device("cpu"),
    )
    entry_point(values_of(folder), runtime)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of five shards, and two sequences appended to it."""
    folder = tmp_path_factory.mktemp("made")
    write_input(folder, LIGANDS, RECEPTORS)
    prepare(config_from_dict(values_of(folder)))
    work(run_embedding, folder)
    write_input(folder, LIGANDS + LATER, RECEPTORS)
    prepare(config_from_dict(values_of(folder)))
    work(run_append, folder)
    assert read_header(folder / "s").num_shards > 4
    assert read_header(folder / "s" / "append_1").complete
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    for name in ("s", "ligands.fasta", "receptors.fasta", "pairs.csv"):
        source = made / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy(source, tmp_path / name)
    shutil.copytree(made / "runs", tmp_path / "runs")
    return tmp_path


def test_a_sound_store_verifies_and_repair_leaves_it_alone(folder: Path) -> None:
    before = files_of(folder / "s")
    work(run_verification, folder)
    work(run_repair, folder)
    assert files_of(folder / "s") == before
    assert not list((folder / "s").glob("**/.parts"))


def test_200_flipped_bits_are_found_and_mended(folder: Path) -> None:
    """In shards, their indexes, tables and metadata of both parts; nothing else is written again."""
    store, generator = folder / "s", random.Random(0)
    before = files_of(store)
    metadata = [name for name in before if name.endswith("zarr.json")]
    shards = [name for name in before if "residues/c." in name]
    tables = sorted(set(before) - set(metadata) - set(shards))
    for number in range(200):
        name = generator.choice((metadata, shards, tables)[number % 3])
        low = 8 * (len(before[name]) - (16 * 8 + 4)) if name in shards and number % 2 else 0  # the index
        flip_bit(store / name, generator.randrange(low, 8 * len(before[name])))
        untouched = {other: (store / other).stat().st_mtime_ns for other in before if other != name}
        with pytest.raises(CorruptError, match=re.escape(name)) as caught:
            work(run_verification, folder)
        assert caught.value.exit_code == 3
        work(run_repair, folder)
        assert files_of(store) == before, name
        if not name.endswith("zarr.json") or name.count("/") > 1:
            rewritten = {other for other, time in untouched.items() if (store / other).stat().st_mtime_ns != time}
            assert not rewritten, (name, rewritten)


@pytest.mark.parametrize("change", ["missing", "empty", "longer", "other shard", "two swapped"])
def test_a_shard_that_is_not_what_was_committed(folder: Path, change: str) -> None:
    store = folder / "s"
    before = files_of(store)
    one, two = shard_path(store, 0), shard_path(store, 1)
    good = one.read_bytes()
    if change == "missing":
        one.unlink()
    else:
        one.write_bytes({"empty": b"", "longer": good + b"\0"}.get(change, two.read_bytes()))
    if change == "two swapped":
        two.write_bytes(good)
    with pytest.raises(CorruptError, match=r"c\.0\.0"):
        work(run_verification, folder)
    work(run_repair, folder)
    assert files_of(store) == before


@pytest.mark.parametrize("name", ["offsets", "digests", "ids", "pooled", "commits", "zarr.json", "residues/zarr.json"])
def test_what_is_missing_comes_back(folder: Path, name: str) -> None:
    store = folder / "s"
    before = files_of(store)
    shutil.rmtree(store / name) if (store / name).is_dir() else (store / name).unlink()
    with pytest.raises(CorruptError, match="missing"):
        work(run_verification, folder)
    work(run_repair, folder)
    assert files_of(store) == before


def test_much_at_once(folder: Path) -> None:
    store = folder / "s"
    before = files_of(store)
    flip_bit(store / "zarr.json", 700)
    flip_bit(store / "offsets" / "zarr.json", 70)
    shutil.rmtree(store / "digests")
    shard_path(store, 2).unlink()
    flip_bit(shard_path(store, 3), 999)
    (store / "pooled" / "c" / "0" / "0").unlink()
    shard_path(store / "append_1", 0).write_bytes(b"rubbish")
    flip_bit(store / "append_1" / "zarr.json", 100)
    work(run_repair, folder)
    assert files_of(store) == before


def test_a_file_that_does_not_belong_there(folder: Path) -> None:
    store = folder / "s"
    before = files_of(store)
    (store / "offsets" / "c" / "7").write_bytes(b"x")
    (store / "residues" / ".c.0.0.ab12.partial").write_bytes(b"a killed writer left this")
    with pytest.raises(CorruptError, match="2 damaged"):
        work(run_verification, folder)
    work(run_repair, folder)
    assert files_of(store) == before


def test_rows_that_are_not_finite_are_found_though_all_checksums_are_right(folder: Path) -> None:
    """A store of a program that did not look: everything is consistent, but a row is NaN."""
    from snw_dist.embedding.store.dtypes import as_bytes
    from snw_dist.embedding.store.open_shard import OpenShard
    from snw_dist.embedding.store.shard_file import write_shard

    store = folder / "s"
    layout = read_header(store).layout
    opened = OpenShard(shard_path(store, 1), layout)
    rows = torch.empty(opened.num_present * 8, 128, dtype=torch.float16)
    opened.copy(as_bytes(rows.numpy()), 0, 0, rows.nbytes)
    rows[3, 5] = torch.nan
    write_shard(shard_path(store, 1), rows.numpy(), layout)
    with pytest.raises(CorruptError, match=r"c\.1\.0: a sound shard, but not the one that was committed"):
        work(run_verification, folder)


def test_what_cannot_be_mended(folder: Path) -> None:
    shard_path(folder / "s", 0).unlink()
    write_input(folder, LIGANDS[3:] + LATER, RECEPTORS)
    prepare(config_from_dict(values_of(folder)))
    with pytest.raises(InputError, match="3 of its sequences are not in the present input"):
        work(run_repair, folder)
    with pytest.raises(CorruptError, match=r"c\.0\.0: missing"):
        work(run_verification, folder)


def test_a_store_that_is_not_finished_or_not_there(tmp_path: Path) -> None:
    write_input(tmp_path, LIGANDS, RECEPTORS)
    prepare(config_from_dict(values_of(tmp_path)))
    for job in (run_verification, run_repair):
        with pytest.raises(InputError, match="there is no embedding store"):
            work(job, tmp_path)
    work(run_embedding, tmp_path)
    header = read_header(tmp_path / "s")
    type(header)(**{**vars(header), "complete": False, "files": {}}).write(tmp_path / "s")
    for job in (run_verification, run_repair):
        with pytest.raises(InputError, match="it is not finished"):
            work(job, tmp_path)


def swap_names(store: Path) -> None:
    """Two ligands exchange their sequences."""
    put(store, "id_sequence", lambda values: values[[1, 0, *range(2, len(values))]])


def swap_sequences(store: Path) -> None:
    """Two sequences of one length exchange their rows, and their names with them."""
    lengths = np.asarray(zarr.open_array(store / "lengths", mode="r")[...])
    first = int(np.flatnonzero(np.diff(lengths) == 0)[0])

    def exchange(values: np.ndarray) -> np.ndarray:
        values[[first, first + 1]] = values[[first + 1, first]]
        return values

    put(store, "digests", exchange)
    renamed = {first: first + 1, first + 1: first}
    put(store, "id_sequence", lambda values: np.asarray([renamed.get(int(v), int(v)) for v in values]))


def another_commit(store: Path) -> None:
    put(store, "commits", lambda values: values + np.asarray([0, 1], dtype=np.uint32))


def another_plan(store: Path) -> None:
    header = read_header(store)
    dataclasses.replace(header, plan_digest="0" * 64).write(store)


@pytest.mark.parametrize("change", [swap_names, swap_sequences, another_commit, another_plan])
def test_wrong_names_with_valid_digests_are_found_by_the_input(folder: Path, change: Callable[[Path], None]) -> None:
    """Everything in the store agrees with everything else in it; the prepared data say that it is not so."""
    change(folder / "s")
    with pytest.raises(CorruptError, match=r"/s: .*(stands for another sequence than in|are not those of)") as caught:
        work(run_verification, folder)
    assert "\n" not in str(caught.value)
    shutil.rmtree(folder / "runs" / "r" / "data")
    work(run_verification, folder)  # nothing to hold it against, which is said


def test_parts_that_do_not_follow_each_other(folder: Path) -> None:
    later = folder / "s" / "append_1"
    header = read_header(later)
    dataclasses.replace(header, part=2).write(later)
    with pytest.raises(CorruptError, match="append_1: it does not belong after the parts before it"):
        work(run_verification, folder)
    header.write(later)
    shutil.copytree(later, folder / "s" / "append_2")
    again = dataclasses.replace(header, part=2, first_sequence=header.first_sequence + header.num_sequences)
    again.write(folder / "s" / "append_2")
    put(folder / "s" / "append_2", "id_sequence", lambda values: values + header.num_sequences)
    with pytest.raises(CorruptError, match="append_2: a sequence is in a part before it too"):
        work(run_verification, folder)


def test_a_header_that_names_a_file_which_no_store_has(folder: Path) -> None:
    header = read_header(folder / "s")
    dataclasses.replace(header, files={**header.files, "offsets/c/7": "0" * 64}).write(folder / "s")
    with pytest.raises(CorruptError, match=r"offsets/c/7: missing"):
        work(run_verification, folder)
    with pytest.raises(CorruptError, match=r"offsets/c/7: the present input does not give what was there"):
        work(run_repair, folder)


def test_tables_that_cannot_be_true_are_made_again(folder: Path) -> None:
    """The header has their digests, so it is made again too."""
    before = files_of(folder / "s")
    put(folder / "s", "ids", lambda ids: np.frombuffer(bytes(ids).replace(b"ligands9", b"ligands0"), dtype=np.uint8))
    with pytest.raises(CorruptError, match="'ligands0' is there twice"):
        work(run_verification, folder)
    work(run_repair, folder)
    assert files_of(folder / "s") == before
