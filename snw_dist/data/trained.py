"""Which pairs a network learned from: one digest for all that training sees of them, and a record that says which.

Everything that a result stands on (checkpoint, export, calibration, evaluation, comparison) is bound to that digest. It
covers the pairs of `train` and of `val`, which decides the weights that are kept: sequences, split, label, weight, in
their order. Ids, notes and held-out splits are not in it, so these may change.

A record has the digest as its name: `trained/DIGEST.pairs` in the run folder. It is written before the first checkpoint
that depends on it, is never changed, and tells pairs apart by their sequences, because an id may come to mean another.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpc.disk.files import atomic_write_bytes, atomic_write_json
from hpc.disk.reading import BadFileError, read_json, read_small
from hpc.errors import CorruptError

if TYPE_CHECKING:
    from snw_dist.data.checked import Checked
    from snw_dist.data.prepared import Prepared

RECORDS = "trained"
UNKNOWN = "unknown"
"""In place of a digest: an older version trained the network and did not record on what."""
_KEY_BYTES = 16  # of the SHA-256 of a sequence
_ROW = np.dtype(
    [("ligand", "S16"), ("receptor", "S16"), ("label", "<f4"), ("weight", "<f4"), ("positive", "u1"), ("val", "u1")]
)
_MOST_BYTES = 2**32

Rows = NDArray[np.void]
"""[num_pairs] of `_ROW`: the pairs of train and val, in order."""


def pair_keys(prepared: Prepared) -> NDArray[np.bytes_]:
    """[num_pairs] a key for each prepared pair, equal for equal sequences whatever their ids: 32 bytes."""
    frame = prepared.pairs
    sides = []
    for column, sequences in (("ligand_id", prepared.ligands), ("receptor_id", prepared.receptors)):
        keys = {name: _sequence_key(sequences[name]) for name in frame[column].unique()}
        sides.append(np.array([keys[name] for name in frame[column]], dtype="S16"))
    return _joined(*sides)


def keys_of(rows: Rows, symmetric: bool = False) -> NDArray[np.bytes_]:
    """The keys of the pairs of a record, as `pair_keys` gives them.

    `symmetric` data have each pair in one order of its sides (`snw_dist.data.symmetric`), older records may not.
    """
    ligand, receptor = rows["ligand"], rows["receptor"]
    turned = (ligand > receptor) & symmetric
    return _joined(np.where(turned, receptor, ligand), np.where(turned, ligand, receptor))


def keys_by_use(parts: Sequence[Rows], symmetric: bool = False) -> tuple[NDArray[np.bytes_], NDArray[np.bytes_]]:
    """The keys of all pairs of several records that were trained on, and of those by which weights were chosen.

    Each [n], as `pair_keys` makes them.
    """
    train, val = (np.concatenate([keys_of(rows[rows["val"] == use], symmetric) for rows in parts]) for use in (0, 1))
    return train, val


def sequence_keys(sequences: Iterable[str]) -> NDArray[np.bytes_]:
    """[num_sequences] of 16 bytes: their keys, as the columns `ligand` and `receptor` of a record hold them."""
    return np.array([_sequence_key(sequence) for sequence in sequences], dtype="S16")


def rows_of(prepared: Prepared) -> Rows:
    """What training sees of prepared data."""
    frame, keys = prepared.pairs, pair_keys(prepared)
    split = frame["split"].to_numpy(dtype=str)
    columns = (frame[name].to_numpy() for name in ("label", "weight", "positive"))
    return _rows(keys, split, *columns)


def rows_of_checked(checked: Checked) -> Rows:
    """The same of data that are not written yet."""
    pairs = checked.pairs
    ligands, receptors = (sequence_keys(t.sequences.values()) for t in (checked.ligands, checked.receptors))
    split = np.array(pairs.split_names, dtype=str)[pairs.split]
    keys = _joined(ligands[pairs.ligand], receptors[pairs.receptor])
    return _rows(keys, split, pairs.label, pairs.weight, checked.positive)


def data_digest(rows: Rows) -> str:
    """SHA-256 of a record."""
    return hashlib.sha256(rows.tobytes()).hexdigest()


def write_record(run_folder: Path, rows: Rows, origin: Mapping[str, Any]) -> None:
    """Leave the record in the run folder, unless it is there whole, and what the data were made from beside it."""
    digest = data_digest(rows)
    path = _path(run_folder, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        read_record(run_folder, digest)
    except CorruptError:
        atomic_write_bytes(path, rows.tobytes())
    atomic_write_json(path.with_suffix(".json"), _told(origin))


def read_record(run_folder: Path, digest: str) -> Rows:
    """The record of that digest; raises `CorruptError` where it is missing or damaged."""
    path = _path(run_folder, digest)
    if not re.fullmatch("[0-9a-f]{64}", digest):  # it becomes a path
        raise CorruptError(f"{run_folder}: {digest!r} is no digest of training pairs")
    try:
        data = read_small(path, _MOST_BYTES)
    except FileNotFoundError:
        raise CorruptError(
            f"{path}: missing, so nobody knows which pairs the network was trained on. Restore it from a backup, or "
            "train again under a new run.name."
        ) from None
    except (BadFileError, OSError) as error:
        raise CorruptError(f"{path}: cannot be read ({error})") from None
    found = hashlib.sha256(data).hexdigest()
    if found != digest or len(data) % _ROW.itemsize:
        raise CorruptError(f"{path}: damaged: SHA-256 is {found}. Restore it from a backup.")
    return np.frombuffer(data, _ROW)


def records(run_folder: Path) -> list[str]:
    """The digests of the data that networks in this run folder learned from."""
    return sorted(path.stem for path in (run_folder / RECORDS).glob("*.pairs"))


def trained_files(run_folder: Path) -> list[Path]:
    """What training leaves only once a checkpoint is committed."""
    names = ("checkpoints.json", "finished.json", "export/model.safetensors")
    return [run_folder / name for name in names if (run_folder / name).exists()]


def what_changed(run_folder: Path, digest: str, now: Rows, origin: Mapping[str, Any]) -> str:
    """In words: what differs between the data of that digest and those of now, made from `origin`.

    The settings and files that differ, and what became of the pairs. Raises as `read_record` does.
    """
    if digest == UNKNOWN:
        return "an older version of this program made it, and did not record on which pairs"
    moved, present = _moved(read_record(run_folder, digest), now), _told(origin)
    then = _settings(_path(run_folder, digest).with_suffix(".json"))
    settings = [
        f"{key}: {_short(then.get(key))} then, {_short(present.get(key))} now"
        for key in dict.fromkeys([*present, *then])
        if then and then.get(key) != present.get(key)
    ]
    return "; ".join([*moved, *settings])


def _told(origin: Mapping[str, Any]) -> dict[str, Any]:
    """What data were made from (`made_from`), in one level, for messages that say what differs."""
    return {**{f"content of {name}": digest for name, digest in origin["inputs"].items()}, **origin["settings"]}


def _settings(path: Path) -> dict[str, Any]:
    """They only explain: without them the pairs still say what differs."""
    try:
        values = read_json(path)
    except (BadFileError, OSError):
        return {}
    return values if isinstance(values, dict) else {}


def _moved(then: Rows, now: Rows) -> list[str]:
    """What became of the pairs, in words."""
    known = [dict(zip(keys_of(rows).tolist(), rows, strict=True)) for rows in (then, now)]
    train = [{key for key, row in side.items() if not row["val"]} for side in known]
    val = [known[side].keys() - train[side] for side in (0, 1)]
    gone, new = train[0] - train[1], train[1] - train[0]
    counts = [
        (len(gone), f"of {len(train[0]):,} pairs of train are not in train now"),
        (len(new), "are in train now and were not"),
        (len(val[0] ^ val[1]), "pairs differ in val"),
    ]
    texts = [f"{count:,} {text}" for count, text in counts if count]
    same = known[0].keys() & known[1].keys()
    other = sum(any(known[0][k][name] != known[1][k][name] for name in ("label", "positive", "weight")) for k in same)
    if other:
        texts.append(f"{other:,} pairs have another label or weight")
    return texts or ["the same pairs in another order"]


def _rows(
    keys: NDArray[np.bytes_],
    split: NDArray[np.str_],
    label: NDArray[np.float64],
    weight: NDArray[np.float64],
    positive: NDArray[np.bool_],
) -> Rows:
    seen = np.flatnonzero((split == "train") | (split == "val"))
    rows = np.zeros(len(seen), _ROW)
    sides = keys[seen].view("S16").reshape(-1, 2)
    rows["ligand"], rows["receptor"] = sides[:, 0], sides[:, 1]
    rows["label"], rows["weight"], rows["positive"] = label[seen], weight[seen], positive[seen]
    rows["val"] = split[seen] == "val"
    return rows


def _joined(ligand: NDArray[np.bytes_], receptor: NDArray[np.bytes_]) -> NDArray[np.bytes_]:
    both = np.empty((len(ligand), 2), "S16")
    both[:, 0], both[:, 1] = ligand, receptor
    return both.view("S32").ravel()


def _sequence_key(sequence: str) -> bytes:
    return hashlib.sha256(sequence.encode()).digest()[:_KEY_BYTES]


def _path(run_folder: Path, digest: str) -> Path:
    return run_folder / RECORDS / f"{digest}.pairs"


def _short(value: Any) -> str:
    """Digests by their beginning."""
    return value[:12] if isinstance(value, str) and len(value) == 64 else repr(value)
