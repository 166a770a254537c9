"""Looking for damage in a complete store: every checksum, every row, every count."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.disk.files import file_digest
from hpc.errors import CorruptError, InputError
from snw_dist.embedding.store.commits import pool_shard, shard_path
from snw_dist.embedding.store.dtypes import stored_dtype
from snw_dist.embedding.store.group import table_files
from snw_dist.embedding.store.header import StoreHeader, read_header
from snw_dist.embedding.store.names import names_problem, packing_problem
from snw_dist.embedding.store.open_shard import OpenShard
from snw_dist.embedding.store.tables import check_residues, read_names, read_table, read_tables

FOREIGN = "does not belong here"


@dataclass(frozen=True)
class Damage:
    """One damaged thing of a part."""

    part: str
    file: str
    """Relative to the part."""
    what: str
    shard: int | None = None

    def __str__(self) -> str:
        return f"{self.part}/{self.file}: {self.what}"


@dataclass(frozen=True)
class PartTables:
    """What the shards of a part are held against; None where the table itself is damaged."""

    offsets: NDArray[np.int64] | None
    """[num_sequences]: first row of each."""
    lengths: NDArray[np.int64] | None
    """[num_sequences]: residues of each."""
    commits: NDArray[np.uint32] | None
    """[num_shards, 2]"""
    pooled: NDArray[np.float32] | None
    """[num_sequences, row_width]"""


def verify_files(part: Path) -> tuple[StoreHeader | None, list[Damage]]:
    """Check the header and every file but the shards; without a sound header the others cannot be judged.

    Raises `InputError` for a part that is not finished.
    """
    try:
        header = read_header(part)
    except CorruptError as error:
        return None, [Damage(str(part), "zarr.json", str(error))]
    except InputError:
        if not (part / "residues").is_dir():  # no store, whatever else it is
            raise
        return None, [Damage(str(part), "zarr.json", "missing")]
    if not header.complete:
        again = "snw-dist embed --append" if header.part else "snw-dist embed"
        raise InputError(f"{part}: it is not finished. Go on with: {again}")
    damage = []
    present = set(table_files(part))
    for name, expected in header.files.items():
        if name not in present:
            damage.append(Damage(str(part), name, "missing"))
        elif (found := file_digest(part / name)) != expected:
            damage.append(Damage(str(part), name, f"SHA-256 is {found}, expected {expected}"))
    damage += [Damage(str(part), name, FOREIGN) for name in sorted(present - set(header.files))]
    damage += [Damage(str(part), f"residues/{name}", FOREIGN) for name in _foreign_shards(part, header)]
    if damage:
        return header, damage
    wrong = _contradictions(part, header)
    return (None, wrong) if wrong else (header, [])  # a header that vouches for what cannot be true is not sound


def _contradictions(part: Path, header: StoreHeader) -> list[Damage]:
    """What is wrong in files that all have the digests of the header."""
    try:
        check_residues(part, header, stored_dtype(header.logical_dtype).name)
    except (OSError, ValueError) as error:
        return [Damage(str(part), "residues", str(error))]
    try:
        tables = read_tables(part, header)
        pooled = read_table(part, "pooled")
        packing = packing_problem(header, tables["lengths"], tables["offsets"], tables["digests"])
        if pooled.shape != (header.num_sequences, header.row_width):
            packing = packing or f"pooled has the shape {pooled.shape}"
        names = names_problem(header, read_names(part))
    except CorruptError as error:
        return [Damage(str(part), "tables", str(error))]
    problems = {"offsets, lengths, digests": packing, "ids, id_sequence": names}
    return [Damage(str(part), name, problem) for name, problem in problems.items() if problem]


def load_tables(part: Path, header: StoreHeader) -> PartTables:
    """The tables that can be read, and have the rows that the header says."""

    def load(name: str, rows: int) -> Any:
        try:
            table = read_table(part, name)
        except CorruptError:
            return None
        return table if len(table) == rows else None

    counts = {"offsets": header.num_sequences, "lengths": header.num_sequences}
    counts |= {"commits": header.num_shards, "pooled": header.num_sequences}
    return PartTables(**{name: load(name, rows) for name, rows in counts.items()})


def verify_shard(part: Path, header: StoreHeader, tables: PartTables, shard: int) -> Damage | None:
    """Check size, index, every crc32c, the digest, that every row is finite, and the pooled rows of one shard."""
    file = shard_path(part, shard)
    name = str(file.relative_to(part))
    try:
        opened = OpenShard(file, header.layout)
        digest = opened.digest()
        if tables.commits is not None and digest != tables.commits[shard, 0]:
            raise ValueError("a sound shard, but not the one that was committed here")
        if tables.offsets is not None and tables.lengths is not None:
            start = shard * header.shard_rows
            first, stop = np.searchsorted(tables.offsets, [start, start + header.shard_rows]).tolist()
            lengths = tables.lengths[first:stop]
            if not len(lengths) or not ((lengths > 0) & (lengths <= header.shard_rows)).all():
                raise ValueError("offsets and lengths put no whole sequence into it")
            if lengths.sum() > header.shard_rows:
                raise ValueError("offsets and lengths put more rows into it than it holds")
            pooled = pool_shard(opened, header.logical_dtype, header.row_width, lengths)
            if not np.isfinite(pooled).all():
                bad = first + int(np.argmin(np.isfinite(pooled).all(axis=1)))
                raise ValueError(f"sequence {bad} has rows that are not finite")
            if tables.pooled is not None and not np.array_equal(pooled, tables.pooled[first : first + len(pooled)]):
                raise ValueError("the pooled rows are not those of its rows")
    except FileNotFoundError:
        return Damage(str(part), name, "missing", shard)
    except (OSError, ValueError) as error:
        return Damage(str(part), name, str(error), shard)
    return None


def _foreign_shards(part: Path, header: StoreHeader) -> list[str]:
    expected = {"zarr.json", *(shard_path(part, shard).name for shard in range(header.num_shards))}
    return sorted(path.name for path in (part / "residues").iterdir() if path.name not in expected)
