"""Reading the small arrays of a part; `store` describes and writes them.

They are read as what we write and nothing else: chunks of plain little-endian values, each with its crc32c and of one
size. So nothing is ever unpacked, and no metadata can promise more than the files hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpc.disk.reading import BadFileError, read_json, read_small
from hpc.errors import CorruptError
from snw_dist.arrays import IntArray
from snw_dist.embedding.store.header import REPAIR, StoreHeader
from snw_dist.embedding.store.layout import CRC_BYTES
from snw_dist.embedding.store.shard_file import crc32c

TABLES: Mapping[str, tuple[str, int]] = {
    "offsets": ("int64", 1),
    "lengths": ("int64", 1),
    "digests": ("uint8", 2),
    "ids": ("uint8", 1),
    "id_sequence": ("int64", 1),
    "pooled": ("float32", 2),
    "commits": ("uint32", 2),
}
"""Type and dimensions of each."""
Name = tuple[str, str, int]
"""Kind, id, and the number of its sequence in the whole store."""
_MOST_CHUNK_BYTES = 1 << 24
_MOST_METADATA_BYTES = 1 << 16


def chunk_rows_of(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Rows in a chunk of a small array: chunks have at most 16 MB."""
    row_bytes = max(1, int(np.prod(shape[1:]))) * dtype.itemsize
    return max(1, min(shape[0], _MOST_CHUNK_BYTES // row_bytes))


def read_tables(part: Path, header: StoreHeader) -> dict[str, NDArray[Any]]:
    """The small arrays that a reader needs.

    offsets and lengths [num_sequences] int64, digests [num_sequences, 32] uint8, commits [num_shards, 2] uint32.

    Raises `CorruptError` when one is damaged or missing, or when they fit neither the header nor each other.
    """
    tables = {name: read_table(part, name) for name in ("offsets", "lengths", "digests", "commits")}
    offsets, lengths, digests = tables["offsets"], tables["lengths"], tables["digests"]
    if (
        not len(offsets) == len(lengths) == len(digests) == header.num_sequences
        or len(tables["commits"]) != header.num_shards
        or digests.shape[1] != 32
        or tables["commits"].shape[1] != 2
    ):
        raise CorruptError(f"{part}: header and tables do not fit together. {REPAIR}")
    ends = offsets + lengths
    if (
        (lengths < 1).any()
        or (offsets < 0).any()
        or (ends[:-1] > offsets[1:]).any()
        or (ends - 1 >= header.num_shards * header.shard_rows).any()
        or (offsets // header.shard_rows != (ends - 1) // header.shard_rows).any()
        or not digests.any(axis=1).all()
    ):
        raise CorruptError(f"{part}: offsets, lengths and digests do not fit together. {REPAIR}")
    return tables


def read_table(part: Path, name: str) -> NDArray[Any]:
    """One of the small arrays, [...]; raises `CorruptError` when it is damaged, or is not stored as we store it."""
    try:
        shape, rows = _checked_layout(part / name)
        count = -(-shape[0] // rows)
        values = np.empty((count, rows, *shape[1:]), dtype=np.dtype(TABLES[name][0]).newbyteorder("<"))
        for number, chunk in enumerate(_chunks(part / name, count)):
            values[number] = _read_chunk(chunk, values.dtype, (rows, *shape[1:]))
        return values.reshape(-1, *shape[1:])[: shape[0]]
    except (OSError, ValueError) as error:
        raise CorruptError(f"{part / name}: cannot be read ({error}). {REPAIR}") from None


def read_table_rows(part: Path, name: str, numbers: IntArray) -> NDArray[Any]:
    """Some rows of one of the small arrays, [n, ...]; numbers: [n]. One chunk of it is in memory at a time.

    Raises `CorruptError` as `read_table`.
    """
    try:
        shape, rows = _checked_layout(part / name)
        dtype = np.dtype(TABLES[name][0]).newbyteorder("<")
        values, of_chunk = np.empty((len(numbers), *shape[1:]), dtype=dtype), numbers // rows
        for number, chunk in enumerate(_chunks(part / name, -(-shape[0] // rows))):
            own = np.flatnonzero(of_chunk == number)
            if len(own):
                values[own] = _read_chunk(chunk, dtype, (rows, *shape[1:]))[numbers[own] - number * rows]
        return values
    except (OSError, ValueError) as error:
        raise CorruptError(f"{part / name}: cannot be read ({error}). {REPAIR}") from None


def _checked_layout(folder: Path) -> tuple[tuple[int, ...], int]:
    """Shape of an array and rows of its chunks; all of them are there in full before any memory is taken."""
    shape, rows = _layout(folder)
    size = rows * int(np.prod(shape[1:])) * np.dtype(TABLES[folder.name][0]).itemsize
    for chunk in _chunks(folder, -(-shape[0] // rows)):
        if (there := chunk.stat().st_size) != size + CRC_BYTES:
            raise ValueError(f"{chunk}: {there:,} bytes, not {size + CRC_BYTES:,}")
    return shape, rows


def _read_chunk(chunk: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    size = int(np.prod(shape)) * dtype.itemsize
    data = memoryview(read_small(chunk, size + CRC_BYTES))
    if len(data) != size + CRC_BYTES or crc32c(data[:size]) != int.from_bytes(data[size:], "little"):
        raise ValueError(f"{chunk}: its crc32c is another")
    return np.frombuffer(data[:size], dtype).reshape(shape)


def read_names(part: Path) -> Iterator[Name]:
    """The names of a part, in their order; raises `CorruptError` where the tables of them cannot be read."""
    try:
        text = bytes(read_table(part, "ids")).decode()
        lines = [line.partition("\t") for line in text.split("\n")] if text else []
        yield from [
            (kind, name, index)
            for (kind, _, name), index in zip(lines, read_table(part, "id_sequence").tolist(), strict=True)
        ]
    except ValueError as error:
        raise CorruptError(f"{part / 'ids'}: not the names of the sequences ({error}). {REPAIR}") from None


def _chunks(folder: Path, count: int) -> Iterator[Path]:
    last = "/0" * (TABLES[folder.name][1] - 1)  # rows are never cut
    return (folder / "c" / f"{number}{last}" for number in range(count))


def _layout(folder: Path) -> tuple[tuple[int, ...], int]:
    """Shape of an array and rows of its chunks; `ValueError` for metadata other than those that we write."""
    dtype, dimensions = TABLES[folder.name]
    metadata = read_json(folder / "zarr.json", _MOST_METADATA_BYTES)
    shape = metadata.get("shape") if isinstance(metadata, dict) else None
    if not (
        isinstance(shape, list)
        and len(shape) == dimensions
        and all(type(size) is int and 0 <= size < 2**48 for size in shape)
        and all(shape[1:])
    ):
        raise BadFileError(f"zarr.json: the shape {shape!r:.60} is none of {dimensions} dimensions")
    rows = chunk_rows_of(tuple(shape), np.dtype(dtype))
    wanted = array_metadata(shape, dtype, [rows, *shape[1:]], "/", [_BYTES, _CRC])
    check_metadata(metadata, wanted)
    return tuple(shape), rows


_BYTES: dict[str, Any] = {"name": "bytes", "configuration": {"endian": "little"}}
_CRC: dict[str, Any] = {"name": "crc32c", "configuration": {}}


def check_residues(part: Path, header: StoreHeader, stored_dtype: str) -> None:
    """Raise `ValueError` where the metadata of the rows say something else than the header."""
    inner = [header.chunk_rows, header.row_width]
    sharding = {
        "chunk_shape": inner,
        "codecs": [_BYTES, _CRC],
        "index_codecs": [_BYTES, _CRC],
        "index_location": "end",
    }
    codecs = [{"name": "sharding_indexed", "configuration": sharding}]
    shape = [header.num_shards * header.shard_rows, header.row_width]
    wanted = array_metadata(shape, stored_dtype, [header.shard_rows, header.row_width], ".", codecs)
    check_metadata(read_json(part / "residues" / "zarr.json", _MOST_METADATA_BYTES), wanted)


def array_metadata(
    shape: list[int], dtype: str, chunk: list[int], separator: str, codecs: list[dict[str, Any]]
) -> dict[str, Any]:
    """What decides how the bytes of an array are read."""
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": separator}},
        "codecs": codecs,
    }


def check_metadata(found: Any, wanted: Mapping[str, Any]) -> None:
    """Raise `BadFileError` naming the first key that is not as wanted; other keys change no byte."""
    if not isinstance(found, dict):
        raise BadFileError("zarr.json: not the metadata of an array")
    one_byte = wanted["data_type"].endswith("int8")
    for key, value in wanted.items():
        if _plain(found.get(key), one_byte) != _plain(value, one_byte):
            raise BadFileError(f"zarr.json: {key} is {found.get(key)!r:.200}, not {value!r:.200}")


def _plain(value: Any, one_byte: bool) -> Any:
    """Without what may be left out: an empty configuration, and the order of the bytes of a value that has one."""
    if isinstance(value, list):
        return [_plain(item, one_byte) for item in value]
    if not isinstance(value, dict):
        return type(value).__name__, value  # true is no 1
    if one_byte and value.get("name") == "bytes":
        return {"name": ("str", "bytes")}
    return {key: _plain(item, one_byte) for key, item in value.items() if item not in ({}, None)}
