"""The embedding store: one Zarr v3 group, written shard by shard, readable by any Zarr v3 client.

    STORE/zarr.json      attributes (see `StoreHeader`); `complete` turns true when everything is committed
    STORE/residues       [rows, d_model]  sharded; `shard_file` describes a shard's bytes; fill value NaN
    STORE/offsets        [n] int64        first row of each distinct sequence
    STORE/lengths        [n] int64        its residues (BOS and EOS are not stored); rows between sequences are padding
    STORE/digests        [n, 32] uint8    SHA-256 of each distinct sequence, by length, alphabet
    STORE/ids            [bytes] uint8    UTF-8 text, one name a line: "ligand<TAB>id" or "receptor<TAB>id"
    STORE/id_sequence    [names] int64    the sequence that each name stands for, so aliases are kept
    STORE/pooled         [n, d_model] float32  mean over a sequence's residues, taken before rounding to the dtype
    STORE/commits        [shards, 2] uint32    crc32c of each shard file, and of its sequences joined by newlines

While it is being filled, STORE/.parts holds one record a shard (digest, crc32c, pooled rows); a shard is committed when
its record is there. Nothing here depends on which rank did what, so equal input gives equal bytes.
This is the only module that imports zarr. bfloat16 is stored as uint16, because zarr has no bfloat16; the logical
type is in the attributes.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors
from zarr.codecs import Crc32cCodec

from hpc.errors import CorruptError, InputError
from hpc.files import atomic_write_bytes, atomic_write_chunks, fsync_folder, fsync_tree, sweep_partial
from snw_dist.embedding.plan import EmbeddingPlan, sequence_digest
from snw_dist.embedding.shard_file import crc32c, encode_shard

FORMAT_VERSION = 1
PARTS = ".parts"
_NUMPY_DTYPE = {"float32": "float32", "float16": "float16", "bfloat16": "uint16"}
_BFLOAT16_NAN = 0x7FC0


@dataclass(frozen=True)
class StoreHeader:
    """Attributes of the group."""

    encoder: Mapping[str, Any]
    """Name, description, weights, weights_sha256, layer and arithmetic of the encoder."""
    logical_dtype: str
    d_model: int
    plan_digest: str
    num_sequences: int
    num_shards: int
    shard_rows: int
    chunk_rows: int
    format_version: int = FORMAT_VERSION
    complete: bool = False


def encoder_identity(encoder: Mapping[str, Any]) -> dict[str, Any]:
    """The facts about an encoder that its rows depend on; a name or a path of the same weights is not one of them."""
    keys = ("weights_sha256", "layer", "arithmetic", "window_residues", "window_overlap")
    return {f"encoder.{key}": encoder[key] for key in keys}


def create_store(path: Path, plan: EmbeddingPlan, header: StoreHeader, names: Sequence[tuple[str, str, int]]) -> None:
    """Create an empty store under `path`, which must not exist; it appears as a whole or not at all.

    `names` are (kind, id, sequence index) triples.
    """
    staging = path.with_name(f".{path.name}.creating")
    shutil.rmtree(staging, ignore_errors=True)
    staging.parent.mkdir(parents=True, exist_ok=True)
    group = zarr.open_group(staging, mode="w", zarr_format=3, attributes=dataclasses.asdict(header))
    dtype = _NUMPY_DTYPE[header.logical_dtype]
    group.create_array(
        "residues",
        shape=(plan.num_shards * plan.shard_rows, header.d_model),
        shards=(plan.shard_rows, header.d_model),
        chunks=(plan.chunk_rows, header.d_model),
        dtype=dtype,
        fill_value=_BFLOAT16_NAN if dtype == "uint16" else float("nan"),
        compressors=[Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": "."},  # one file a shard, not one folder a shard
    )
    _write(group, "offsets", plan.offsets)
    _write(group, "lengths", plan.lengths)
    digests = b"".join(sequence_digest(sequence) for sequence in plan.sequences)
    _write(group, "digests", np.frombuffer(digests, dtype=np.uint8).reshape(-1, 32))
    text = "\n".join(f"{kind}\t{name}" for kind, name, _ in names).encode()
    _write(group, "ids", np.frombuffer(text, dtype=np.uint8))
    _write(group, "id_sequence", np.asarray([index for _, _, index in names], dtype=np.int64))
    (staging / PARTS).mkdir()
    fsync_tree(staging)
    staging.rename(path)
    fsync_folder(path.parent)


def read_header(path: Path) -> StoreHeader:
    """Read the attributes; raises `InputError` when there is no store and `CorruptError` when it is not one of ours."""
    file = path / "zarr.json"
    if not file.exists():
        raise InputError(f"{path}: there is no embedding store. Make it with: python launch/embed.py")
    try:
        header = StoreHeader(**json.loads(file.read_text())["attributes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorruptError(f"{file}: not the header of an embedding store ({error})") from None
    if header.format_version != FORMAT_VERSION:
        raise CorruptError(f"{file}: format version {header.format_version}, this program reads {FORMAT_VERSION}")
    return header


def check_same_plan(path: Path, present: StoreHeader, wanted: StoreHeader) -> None:
    """Refuse to mix two encoders, layers, dtypes or inputs in one store."""
    old, new = (dataclasses.asdict(item) | encoder_identity(item.encoder) for item in (present, wanted))
    differences = [
        f"{key}: {old.get(key)!r} there, {new[key]!r} now"
        for key in new
        if key not in ("complete", "format_version", "encoder") and old.get(key) != new[key]
    ]
    if differences:
        raise InputError(
            f"{path}: the store was made from other input or settings ({'; '.join(differences)}). "
            "Choose another store.path or run.name, or remove the folder to embed again."
        )


def shard_path(path: Path, shard: int) -> Path:
    """File of a shard; the key is the one zarr uses."""
    return path / "residues" / f"c.{shard}.0"


def commit_shard(path: Path, plan: EmbeddingPlan, shard: int, rows: NDArray[np.float32], logical_dtype: str) -> int:
    """Write one shard durably, then its record; returns the bytes written.

    `rows`: [residues of the shard, d_model] float32, finite. Raises `CorruptError` naming the sequence (by its row and
    first letters) when a value is not finite in the store's dtype.
    """
    sequences = plan.shard_sequences(shard)
    lengths = plan.lengths[sequences.start : sequences.stop]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    stored = to_stored(rows, logical_dtype)
    finite = np.isfinite(from_stored(stored, logical_dtype)).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        bad = plan.sequences[sequences[int(np.searchsorted(starts, row, side="right")) - 1]]
        raise CorruptError(
            f"shard {shard}, row {row}: the embedding of {bad[:20]}... ({len(bad)} residues) is not finite as "
            f"{logical_dtype}. Try store.dtype float32, or check the weights."
        )
    num_present = -(-len(rows) // plan.chunk_rows)
    fill = to_stored(np.full(1, np.nan, dtype=np.float32), logical_dtype)[0]
    padded = np.full((num_present * plan.chunk_rows, rows.shape[1]), fill, dtype=stored.dtype)
    padded[: len(rows)] = stored
    pieces = list(encode_shard(padded, plan.shard_rows // plan.chunk_rows, plan.chunk_rows))
    size = atomic_write_chunks(shard_path(path, shard), pieces)
    pooled = np.add.reduceat(rows, starts[:-1], axis=0, dtype=np.float64) / lengths[:, None]
    record = {"pooled": pooled.astype(np.float32)}
    metadata = {
        "digest": plan.shard_digest(shard),
        "crc32c": str(crc32c(b"".join(pieces))),
        "bytes": str(size),
        "pooled_crc32c": str(crc32c(record["pooled"].tobytes())),
    }
    atomic_write_bytes(
        _record_path(path, shard), save_safetensors(record, {"record": json.dumps(metadata, sort_keys=True)})
    )
    return size


def committed_shards(path: Path, plan: EmbeddingPlan) -> set[int]:
    """Shards whose record is there and whose file still has the recorded bytes; each file is read once."""
    return {shard for shard in range(plan.num_shards) if _verify_part(path, plan, shard) is not None}


def finalize_store(path: Path, plan: EmbeddingPlan, d_model: int) -> None:
    """Turn the shard records into `pooled` and `commits`, then mark the store complete; one process only.

    Raises `CorruptError` naming the shards that are not committed. Restartable: `complete` is written last.
    """
    group = zarr.open_group(path, mode="r+", zarr_format=3)
    chunk = (min(len(plan.sequences), 4096), d_model)
    shape = (len(plan.sequences), d_model)
    pooled = group.create_array(
        "pooled",
        shape=shape,
        chunks=chunk,
        dtype="float32",
        fill_value=float("nan"),
        compressors=[Crc32cCodec()],
        overwrite=True,
    )
    commits = np.zeros((plan.num_shards, 2), dtype=np.uint32)
    for shard in range(plan.num_shards):
        part = _verify_part(path, plan, shard)
        if part is None:
            raise CorruptError(f"{path}: shard {shard} of {plan.num_shards} is not committed. Start embed again.")
        crc, rows = part
        sequences = plan.shard_sequences(shard)
        pooled[sequences.start : sequences.stop] = rows
        text = "\n".join(plan.sequences[i] for i in sequences)
        commits[shard] = crc, crc32c(text.encode("ascii"))
    _write(group, "commits", commits)
    sweep_partial(path)
    for folder in ("pooled", "commits", "residues"):
        sweep_partial(path / folder)
        fsync_tree(path / folder) if folder != "residues" else fsync_folder(path / folder)
    metadata = json.loads((path / "zarr.json").read_text())
    metadata["attributes"]["complete"] = True
    atomic_write_bytes(path / "zarr.json", json.dumps(metadata, indent=2).encode())
    shutil.rmtree(path / PARTS)


def read_tables(path: Path) -> dict[str, NDArray[Any]]:
    """The small arrays: offsets, lengths, digests, commits.

    Raises `CorruptError` when one is damaged, or missing: zarr reads a missing chunk as zeros.
    """
    tables = {}
    for name in ("offsets", "lengths", "digests", "commits"):
        try:
            array = zarr.open_array(path / name, mode="r", zarr_format=3)
            tables[name] = np.asarray(array[...])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptError(f"{path / name}: cannot be read ({error}). Remove the store and embed again.") from None
    offsets, lengths, digests = tables["offsets"], tables["lengths"], tables["digests"]
    if (
        not len(offsets) == len(lengths) == len(digests)
        or (lengths < 1).any()
        or (offsets[:-1] + lengths[:-1] > offsets[1:]).any()
        or not digests.any(axis=1).all()
    ):
        raise CorruptError(f"{path}: offsets, lengths and digests do not fit together. Remove it and embed again.")
    return tables


def to_stored(values: NDArray[np.float32], logical_dtype: str) -> NDArray[Any]:
    """float32 values in the store's dtype; bfloat16 is rounded to nearest even and returned as uint16."""
    if logical_dtype != "bfloat16":
        with np.errstate(over="ignore"):  # an overflow becomes inf, which the caller reports with the sequence
            return values.astype(logical_dtype)
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = ((bits + (0x7FFF + ((bits >> 16) & 1))) >> 16).astype(np.uint16)
    return np.where(np.isnan(values), np.uint16(_BFLOAT16_NAN), rounded)


def from_stored(values: NDArray[Any], logical_dtype: str) -> NDArray[np.float32]:
    """Stored values as float32."""
    if logical_dtype != "bfloat16":
        return values.astype(np.float32)
    return (values.astype(np.uint32) << 16).view(np.float32)


def _record_path(path: Path, shard: int) -> Path:
    return path / PARTS / f"{shard:08d}.safetensors"


def _verify_part(path: Path, plan: EmbeddingPlan, shard: int) -> tuple[int, NDArray[np.float32]] | None:
    try:
        data = _record_path(path, shard).read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        record = json.loads(header["__metadata__"]["record"])
        file = shard_path(path, shard).read_bytes()
        pooled = load_safetensors(data)["pooled"]
        recorded = record["digest"], record["crc32c"], record["pooled_crc32c"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):  # damage anywhere in the record
        return None
    crc = crc32c(file)
    if recorded != (plan.shard_digest(shard), str(crc), str(crc32c(pooled.tobytes()))):
        return None
    return crc, pooled


def _write(group: zarr.Group, name: str, values: NDArray[Any]) -> None:
    chunks = tuple(max(1, min(size, 1 << 20)) for size in values.shape[:1]) + values.shape[1:]
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=chunks,
        dtype=values.dtype,
        compressors=[Crc32cCodec()],
        overwrite=True,
        config={"write_empty_chunks": True},
    )
    array[...] = values
