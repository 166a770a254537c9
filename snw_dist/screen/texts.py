"""Many short texts, such as the sequences or the ids of a library, in a file that stays on disk."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from hpc.disk.files import PARTIAL_SUFFIX, publish_file
from snw_dist.arrays import IntArray


class Texts:
    """Texts by their number, in an Arrow file with one column."""

    def __init__(self, path: Path) -> None:
        with pa.memory_map(str(path)) as source:
            self._texts = pa.ipc.open_file(source).get_batch(0).column(0)

    def __len__(self) -> int:
        return len(self._texts)

    def take(self, numbers: IntArray | range) -> list[str]:
        """The texts with these numbers; numbers: [n]."""
        found: list[str] = self._texts.take(pa.array(numbers, pa.int64())).to_pylist()
        return found

    def all(self) -> list[str]:
        """Every text."""
        found: list[str] = self._texts.to_pylist()
        return found

    @staticmethod
    def write(path: Path, texts: Sequence[str]) -> None:
        """Publish texts as such a file; equal ones are equal bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        batch = pa.record_batch([pa.array(texts, pa.large_string())], ["text"])  # in one piece: else `take` copies all
        part = path.with_name(f".{path.name}.{secrets.token_hex(6)}{PARTIAL_SUFFIX}")
        with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        publish_file(part, path)


def digest_of(texts: Sequence[str]) -> str:
    """SHA-256 of texts, one a line."""
    sha = hashlib.sha256()
    for start in range(0, len(texts), 1 << 16):
        sha.update("".join(f"{one}\n" for one in texts[start : start + (1 << 16)]).encode())
    return sha.hexdigest()
