"""The embedding store: a Zarr v3 group, written shard by shard, readable by any Zarr v3 client.

    STORE/zarr.json      attributes (see `header`); `complete` turns true when everything is committed
    STORE/residues       [rows, row_width] sharded; `shard_file` describes a shard's bytes; fill value NaN
    STORE/offsets        [n] int64        first row of each distinct sequence
    STORE/lengths        [n] int64        its residues (BOS and EOS are not stored); rows between sequences are padding
    STORE/digests        [n, 32] uint8    SHA-256 of each distinct sequence, by length, alphabet
    STORE/ids            [bytes] uint8    UTF-8 text, one name a line: "ligand<TAB>id" or "receptor<TAB>id"
    STORE/id_sequence    [names] int64    the sequence that each name stands for, so aliases are kept
    STORE/pooled         [n, row_width] float32  mean over the stored rows of each sequence
    STORE/commits        [shards, 2] uint32  digest of each shard (`shard_file.shard_digest`), crc32c of its sequences
    STORE/append_1       the same again for sequences that came later, and so on

What was appended is a part of its own, so nothing that is complete is ever written again. Nothing here depends on which
rank did what, so equal input gives equal bytes. This is the only module that imports zarr.
"""

from __future__ import annotations

import contextlib
import filecmp
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from hpc.disk.files import file_digest, fsync_folder, fsync_tree, publish_once, sweep_partial
from hpc.errors import CorruptError, InputError
from snw_dist.embedding.store.commits import read_record
from snw_dist.embedding.store.dtypes import fill_value, stored_dtype
from snw_dist.embedding.store.header import GROUP, StoreHeader, check_same_plan, read_header, sizes_problem
from snw_dist.embedding.store.part_names import RECORDS
from snw_dist.embedding.store.plan import EmbeddingPlan, sequence_digest
from snw_dist.embedding.store.tables import TABLES, Name, chunk_rows_of, read_table, read_tables

ShardResult = tuple[int, int, NDArray[np.float32]]
"""The row of a shard in `commits`, and its rows of `pooled`: [sequences of the shard, row_width]."""


def create_part(
    part: Path, plan: EmbeddingPlan, header: StoreHeader, names: Sequence[Name], work: Path | None = None
) -> None:
    """Make what an unfinished part needs before its shards: first its header, which decides what it is, then tables.

    What is there already and as it should be stays, so any number of jobs may do this at once, and one that was killed
    is followed by another. `work` is the caller's own folder below the part, by default one that all share. Raises
    `InputError` when the part is there with another plan, and for sizes that no reader would take.
    """
    if problem := sizes_problem(header):
        raise InputError(f"{part}: {problem}. Correct store.shard_rows and store.chunk_rows, or take fewer layers.")
    file = part / GROUP
    (part / RECORDS).mkdir(parents=True, exist_ok=True)
    while not file.exists():  # `publish_once` may also fail because somebody has swept
        publish_once(file, header.to_bytes())
    present = read_header(part)
    check_same_plan(part, present, header)
    if not present.complete:
        with _staging(part, work) as staging:
            write_skeleton(staging, plan, header, names)
            _move_files(staging, part)


@contextlib.contextmanager
def _staging(part: Path, work: Path | None) -> Iterator[Path]:
    """A new folder, from which what is made can be moved into place."""
    folder = (part / RECORDS if work is None else work) / f"{secrets.token_hex(4)}.staging"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_files(staging: Path, part: Path) -> None:
    """Put the tables into their places, file by file; equal input gives equal bytes, so those that fit stay."""
    fsync_tree(staging)
    folders = {part}
    for name in table_files(staging):
        source, target = staging / name, part / name
        if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)
            folders |= {part / parent for parent in Path(name).parents}
    for folder in folders:
        fsync_folder(folder)


def write_skeleton(folder: Path, plan: EmbeddingPlan, header: StoreHeader, names: Sequence[Name]) -> None:
    """Everything of a part that follows from the plan alone: all but shards, `pooled` and `commits`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.open_group(folder, mode="w", zarr_format=3)
    group.create_array(
        "residues",
        shape=(plan.num_shards * plan.shard_rows, header.row_width),
        shards=(plan.shard_rows, header.row_width),
        chunks=(plan.chunk_rows, header.row_width),
        dtype=stored_dtype(header.logical_dtype),
        fill_value=fill_value(header.logical_dtype),
        compressors=[Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},  # one file a shard, not one folder a shard
    )
    write_table(group, "offsets", plan.offsets)
    write_table(group, "lengths", plan.lengths)
    digests = b"".join(sequence_digest(sequence) for sequence in plan.sequences)
    write_table(group, "digests", np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32))
    text = "\n".join(f"{kind}\t{name}" for kind, name, _ in names).encode()
    write_table(group, "ids", np.frombuffer(text, dtype=np.uint8))
    write_table(group, "id_sequence", np.asarray([index for _, _, index in names], dtype=np.int64))
    header.write(folder)


def finalize_part(part: Path, plan: EmbeddingPlan, work: Path | None = None) -> None:
    """Turn the shard records into `pooled` and `commits`, then mark the part complete; `work` as for `create_part`.

    Raises `CorruptError` naming a shard that is not committed or a table that is not whole. Restartable, and array
    tasks that end at the same time may all do it: each makes the same bytes apart; `complete` comes last.
    """
    header = read_header(part)
    try:
        with _staging(part, work) as staging:
            write_results(staging, header, _recorded(part, plan))
            _move_files(staging, part)
        _check_tables(part, header)
        fsync_folder(part / "residues")
        complete_header(header, checksums(part)).write(part)
    except Exception:  # zarr has errors of its own
        if not read_header(part).complete:  # else another task was faster and has tidied up
            raise
    tidy_part(part)


def tidy_part(part: Path) -> None:
    """Remove from a complete part what was needed to fill it; the folder goes last, so a kill is seen by it."""
    for folder in (part, part / "residues"):
        sweep_partial(folder)
    shutil.rmtree(part / RECORDS, ignore_errors=True)
    # The heart of the owner may have written its name into the folder while it went, which then stayed. Without its
    # claim it does not do so again.
    shutil.rmtree(part / RECORDS, ignore_errors=True)


def _check_tables(part: Path, header: StoreHeader) -> None:
    """What was made at the start of the job must still be there: its digests are about to be taken for the truth."""
    lengths = read_tables(part, header)["lengths"]
    names = read_table(part, "ids"), read_table(part, "id_sequence")
    if len(lengths) != header.num_sequences or int(lengths.sum()) != header.num_residues or not all(map(len, names)):
        raise CorruptError(f"{part}: its tables are not those of its header. Start it again: snw-dist embed")


def _recorded(part: Path, plan: EmbeddingPlan) -> Iterator[ShardResult]:
    for shard in range(plan.num_shards):
        record = read_record(part, plan, shard)
        if record is None:
            raise CorruptError(
                f"{part}: shard {shard} of {plan.num_shards} is not committed. Start it again: snw-dist embed"
            )
        yield record.digest, plan.sequences_crc(shard), record.pooled


def write_results(folder: Path, header: StoreHeader, shards: Iterable[ShardResult]) -> None:
    """Write `pooled` and `commits` into a new Zarr group; every chunk is written once."""
    group = zarr.open_group(folder, mode="a", zarr_format=3)
    pooled = create_table(group, "pooled", (header.num_sequences, header.row_width), np.dtype("float32"))
    commits = np.zeros((header.num_shards, 2), dtype=np.uint32)
    block = np.empty((0, header.row_width), dtype=np.float32)
    written, size = 0, pooled.chunks[0]
    for shard, (digest, sequences_crc, means) in enumerate(shards):
        commits[shard] = digest, sequences_crc
        block = np.concatenate([block, means])
        while len(block) >= size or (len(block) and shard == header.num_shards - 1):
            pooled[written : written + len(block[:size])] = block[:size]
            written, block = written + len(block[:size]), block[size:]
    write_table(group, "commits", commits)


def complete_header(header: StoreHeader, files: dict[str, str]) -> StoreHeader:
    """The header of a part once everything is there."""
    return StoreHeader(**{**vars(header), "complete": True, "files": files})


def checksums(part: Path) -> dict[str, str]:
    """SHA-256 of every file of a part but its header, its shards and what was appended, by relative path."""
    return {name: file_digest(part / name) for name in table_files(part)}


def table_files(part: Path) -> list[str]:
    """Relative paths of the files that `checksums` covers."""
    files = [part / "residues" / "zarr.json", *(path for name in TABLES for path in (part / name).rglob("*"))]
    return sorted(str(path.relative_to(part)) for path in files if path.is_file())


def write_table(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    """Write a small array [...] whole."""
    array = create_table(group, name, values.shape, values.dtype)
    array[...] = values


def create_table(group: zarr.Group, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> zarr.Array[Any]:
    """An empty small array in chunks of at most 16 MB, each with its crc32c."""
    rows = chunk_rows_of(shape, dtype)
    return group.create_array(
        name,
        shape=shape,
        chunks=(rows, *shape[1:]),
        dtype=dtype,
        fill_value=np.nan if dtype.kind == "f" else 0,
        compressors=[Crc32cCodec()],
        overwrite=True,
        config={"write_empty_chunks": True},
    )
