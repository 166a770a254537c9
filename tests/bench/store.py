"""Reading and writing the store: ours beside zarr-python, the zarrs pipeline, tensorstore, h5py and a memory map.

250 MB of float16 rows of 960 values, sequences of 20 to 300 rows, page cache warm. Reads are whole sequences, random or
in the order of the store, 32 at a time into a batch [32, 300, 960] that is there already. zarr-python, zarrs and
tensorstore read our own store; the first two also one with inner chunks of 256 rows, and the better of the two counts.
Writers put down shards of 31 MB one after another, each fsynced.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorstore
import torch
import zarr
from zarr.codecs import Crc32cCodec

from snw_dist.config import StoreSection
from snw_dist.embedding.store.commits import RECORDS, commit_shard, shard_path
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.store.shard_file import write_shard
from tests.bench.common import finish, medians, parser, seconds, show

WIDTH, BATCH = 960, 32
ROWS_PER_SHARD, CHUNK_ROWS = StoreSection().shard_rows, StoreSection().chunk_rows
ENCODER = {"name": "bench", "description": "random rows", "weights_sha256": "0" * 64, "layers": [1]}
ENCODER |= {"combine": "concat", "arithmetic": "fp32", "window_residues": 2046, "window_overlap": 512}


class Bench:
    """The same rows in every format, and how each is read."""

    def __init__(self, folder: Path, megabytes: int, num_reads: int, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        lengths = generator.integers(20, 300, megabytes * 10**6 // (160 * WIDTH * 2))
        letters = np.frombuffer(b"ACDEFGHIKLMNPQRSTVWY", dtype=np.uint8)
        sequences = [letters[generator.integers(0, 20, n)].tobytes().decode() for n in lengths]
        self.folder, self.plan = folder, plan_embedding(sequences, ROWS_PER_SHARD, CHUNK_ROWS)
        names = [("ligand", str(number), number) for number in range(len(self.plan.sequences))]
        self.part = PartPlan(0, folder / "ours.zarr", self.plan, names, 0)
        create_part(self.part.path, self.plan, self.part.header(ENCODER, "float16", WIDTH), names)
        whole = np.zeros((self.plan.num_shards * self.plan.shard_rows, WIDTH), dtype=np.float16)
        for shard in range(self.plan.num_shards):
            buffer = torch.randn(self.plan.shard_rows, WIDTH).half()
            commit_shard(self.part.path, self.plan, shard, buffer)
            whole[shard * self.plan.shard_rows :][: self.plan.shard_rows] = buffer.numpy()
        finalize_part(self.part.path, self.plan)
        self.whole = whole
        whole.tofile(folder / "rows.bin")
        with h5py.File(folder / "rows.h5", "w") as file:
            file.create_dataset("rows", data=whole, chunks=(256, WIDTH))
        self.wide = zarr.create_array(
            folder / "wide.zarr",
            shape=whole.shape,
            shards=(ROWS_PER_SHARD, WIDTH),
            chunks=(256, WIDTH),
            dtype="float16",
            compressors=[Crc32cCodec()],
        )
        self.wide[...] = whole
        self.order = generator.permutation(len(sequences))[:num_reads].tolist()
        self.starts, self.lengths = self.plan.offsets.tolist(), self.plan.lengths.tolist()
        self.elsewhere = np.ones(1 << 27, dtype=np.uint8)
        self.batch = torch.empty(BATCH, 300, WIDTH, dtype=torch.float16)

    def rate(self, read: Callable[[list[int]], object], indices: list[int], passes: int = 1) -> float:
        """Megabytes a second of reading sequences in batches, `passes` times over."""
        self.elsewhere.sum()  # nobody finds rows in the processor's cache that another reader has left there
        megabytes = passes * sum(self.lengths[i] for i in indices) * WIDTH * 2 / 1e6
        batches = [indices[start : start + BATCH] for start in range(0, len(indices), BATCH)] * passes
        return megabytes / seconds(lambda: [read(batch) for batch in batches])

    @contextmanager
    def readers(self) -> Iterator[dict[str, Callable[[list[int]], None]]]:
        """Each fills the batch with the rows of some sequences."""
        mapped = np.memmap(self.folder / "rows.bin", dtype=np.float16, mode="r", shape=self.whole.shape)
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(self.part.path / "residues")}}
        store = tensorstore.open(spec, open=True, read=True).result()
        batch = self.batch.numpy()
        narrow = zarr.open_array(self.part.path / "residues", mode="r")
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            fast = zarr.open_array(self.part.path / "residues", mode="r")
            fast_wide = zarr.open_array(self.folder / "wide.zarr", mode="r")

        def by(take: Callable[[int, int], Any]) -> Callable[[list[int]], None]:
            def fill(indices: list[int]) -> None:
                for row, i in enumerate(indices):
                    batch[row, : self.lengths[i]] = take(self.starts[i], self.starts[i] + self.lengths[i])

            return fill

        with h5py.File(self.folder / "rows.h5", "r") as file:
            dataset = file["rows"]

            def from_h5(indices: list[int]) -> None:
                for row, i in enumerate(indices):
                    source = np.s_[self.starts[i] : self.starts[i] + self.lengths[i]]
                    dataset.read_direct(batch, source, np.s_[row, : self.lengths[i]])

            yield {
                "ours": self.by_ours(StoreReader(self.part.path)),
                "memmap": by(lambda start, stop: mapped[start:stop]),
                "h5py": from_h5,
                "tensorstore": by(lambda start, stop: store[start:stop].read().result()),
                "zarrs pipeline": by(lambda start, stop: fast[start:stop]),
                "zarrs pipeline, chunks of 256": by(lambda start, stop: fast_wide[start:stop]),
                "zarr-python": by(lambda start, stop: narrow[start:stop]),
                "zarr-python, chunks of 256": by(lambda start, stop: self.wide[start:stop]),
            }

    def by_ours(self, reader: StoreReader) -> Callable[[list[int]], None]:
        """Our reader."""
        nothing = [0] * BATCH
        return lambda indices: reader.read_batch(
            self.batch, indices, nothing[: len(indices)], [self.lengths[i] for i in indices]
        )

    def check(self) -> None:
        """Every reader gives the same rows."""
        chosen = self.order[:BATCH]
        with self.readers() as readers:
            for name, read in readers.items():
                self.batch.zero_()
                read(chosen)
                for row, i in enumerate(chosen):
                    expected = self.whole[self.starts[i] : self.starts[i] + self.lengths[i]]
                    assert np.array_equal(self.batch[row, : self.lengths[i]].numpy(), expected), name

    def first_touch(self) -> float:
        """Ours with every crc32c still to be checked, megabytes a second."""
        return self.rate(self.by_ours(StoreReader(self.part.path)), self.order)

    def read_rates(self, readers: dict[str, Callable[[list[int]], None]]) -> dict[str, Callable[[], float]]:
        """Random and sequential reads of all readers."""
        everything = list(range(len(self.lengths)))
        for name in ("ours", "memmap"):
            self.rate(readers[name], everything)
        rates: dict[str, Callable[[], float]] = {"random ours, first touch": self.first_touch}
        for name, read in readers.items():
            quick = name in ("ours", "memmap", "h5py")
            few = self.order if quick else self.order[: len(self.order) // 4]
            middle = len(everything) // 2  # the lengths of all together; these readers are slow
            part = everything if quick else everything[middle - len(few) // 2 :][: len(few)]
            passes = 8 if quick else 1  # more than the cache holds in each, and not over in a blink
            rates[f"random {name}"] = lambda read=read, few=few, n=passes: self.rate(read, few, n)
            rates[f"sequential {name}"] = lambda read=read, part=part, n=passes: self.rate(read, part, n)
        return rates

    def write_rates(self, count: int = 6) -> dict[str, Callable[[], float]]:
        """Shards written one after another by each writer, megabytes a second."""
        rows = np.ascontiguousarray(self.whole[: self.plan.shard_rows])
        layout = ShardLayout.of(self.plan.shard_rows, self.plan.chunk_rows, WIDTH * rows.itemsize)
        total = count * rows.nbytes / 1e6
        tensor = torch.from_numpy(rows.copy())

        def timed(name: str, write: Callable[[Path, int], object]) -> Callable[[], float]:
            folder = self.folder / name

            def measure() -> float:
                shutil.rmtree(folder, ignore_errors=True)
                for i in range(count):
                    (folder / f"{i}" / RECORDS).mkdir(parents=True)
                    (folder / f"{i}" / "residues").mkdir()
                os.sync()  # or the first fsync would pay for the removal
                return total / seconds(lambda: [write(folder, i) for i in range(count)])

            return measure

        def plain(folder: Path, i: int) -> None:
            with (folder / f"{i}" / "plain").open("wb", buffering=0) as file:
                file.write(rows.data)
                os.fsync(file.fileno())

        def by_zarr(folder: Path, i: int) -> None:
            if i == 0:
                self.written = zarr.create_array(
                    folder / "by_zarr",
                    shape=(count * ROWS_PER_SHARD, WIDTH),
                    shards=(ROWS_PER_SHARD, WIDTH),
                    chunks=(CHUNK_ROWS, WIDTH),
                    dtype="float16",
                    compressors=[Crc32cCodec()],
                )
            self.written[i * ROWS_PER_SHARD : (i + 1) * ROWS_PER_SHARD] = rows
            with (folder / "by_zarr" / "c" / f"{i}" / "0").open("rb") as file:
                os.fsync(file.fileno())

        return {
            "write plain file": timed("plain", plain),
            "write ours": timed("ours", lambda folder, i: write_shard(shard_path(folder / f"{i}", 0), rows, layout)),
            "write ours, with pooled rows and record": timed(
                "committed", lambda folder, i: commit_shard(folder / f"{i}", self.plan, 0, tensor)
            ),
            "write zarr-python": timed("zarr", by_zarr),
        }


def main() -> None:
    """Measure and print."""
    options = parser(__doc__ or "")
    options.add_argument("--megabytes", type=int, default=250)
    options.add_argument("--reads", type=int, default=400)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("SNW_BENCH_DIR")) as folder:
        bench = Bench(Path(folder), chosen.megabytes, chosen.reads)
        bench.check()
        with bench.readers() as readers:
            found = medians(chosen.rounds, bench.read_rates(readers) | bench.write_rates())
    memmap, ours = found["random memmap"], found["random ours"]
    zarr_python = max(found["random zarr-python"], found["random zarr-python, chunks of 256"])
    keys = {
        "random_vs_zarr": round(ours / zarr_python, 2),
        "random_vs_memmap": round(ours / memmap, 3),
        "random_first_touch_vs_memmap": round(found["random ours, first touch"] / memmap, 3),
        "sequential_vs_memmap": round(found["sequential ours"] / found["sequential memmap"], 3),
        "write_vs_file": round(found["write ours"] / found["write plain file"], 3),
    }
    if not chosen.json:
        show("MB/s, median", ["", "MB/s"], [[name, f"{value:,.0f}"] for name, value in found.items()])
    finish(chosen.json, keys)


if __name__ == "__main__":
    main()
