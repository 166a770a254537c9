"""Reading rows of one shard file: every byte that is given has passed its crc32c, whatever happens to the file.

The file is not mapped: a mapped file that is cut, or whose disk fails, ends the process with SIGBUS, which nobody can
catch and which names no file. Read, the same is an error like any other. A chunk is compared with its crc32c at first
touch, and again after anything has changed about the file.
"""

from __future__ import annotations

import os
import resource
import stat
import threading
import weakref
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from crc32c import crc32c as crc32c_of
from numpy.typing import NDArray

from snw_dist.embedding.store.layout import CRC_BYTES, ShardLayout
from snw_dist.embedding.store.shard_file import shard_digest, shard_index

_SPARE_DESCRIPTORS = 512  # for all that a process opens besides
_MOST_PARTS = 512  # in one call; the system takes 1,024
Bytes: TypeAlias = NDArray[np.uint8]


def most_kept_open() -> int:
    """How many shards a process may keep open; lets it have as many files as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(0, hard - _SPARE_DESCRIPTORS)


class OpenShard:
    """A shard file; raises `ValueError` where its bytes are damaged, and `OSError` where they cannot be read."""

    def __init__(self, path: Path, layout: ShardLayout, keep_open: bool = True) -> None:
        """Check the size and the index; without `keep_open` the file is opened anew for every read."""
        self._path, self._layout = path, layout
        self._chunk_bytes, self._gap = layout.chunk_bytes, layout.gap
        self._between = bytearray(self._gap)  # what lies between two chunks goes here, and nobody reads it
        self._checking = threading.Lock()
        self._kept = -1
        descriptor = self._open()
        try:
            self._look_again(descriptor, _stamp(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        if keep_open:
            self._kept = descriptor
            weakref.finalize(self, os.close, descriptor)
        else:
            os.close(descriptor)

    @property
    def num_present(self) -> int:
        """Chunks that are stored."""
        return len(self._unchecked)

    def copy(self, target: Bytes, at: int, start: int, count: int) -> None:
        """Copy `count` bytes of values from byte `start` of the shard's values to byte `at` of `target` [bytes].

        By calls of the system, which let go of Python's lock: a thread that reads ahead does not hold up the one that
        trains.
        """
        descriptor = self._kept if self._kept >= 0 else self._open()
        try:
            first, stop = start // self._chunk_bytes, (start + count - 1) // self._chunk_bytes + 1
            known, unchecked = self._known, self._unchecked
            if stop <= len(unchecked) and unchecked.find(1, first, stop) < 0:
                self._read_values(descriptor, target, at, start, count)
                if _stamp(descriptor) == known:
                    return
            with self._checking:
                if not self._copy_checked(descriptor, target, at, start, count):
                    self._copy_checked(descriptor, target, at, start, count)  # now each chunk that was known before too
        finally:
            if descriptor != self._kept:
                os.close(descriptor)

    def digest(self) -> int:
        """`shard_digest` of this file, with every chunk and the zeros between them checked; raises `ValueError`."""
        values, crcs = np.empty(self._chunk_bytes, dtype=np.uint8), []
        descriptor = self._kept if self._kept >= 0 else self._open()
        try:
            for chunk in range(self.num_present):
                crc, rest = self._read_chunk(descriptor, chunk, values, 0)
                crcs.append(crc)
                if rest.any():
                    raise ValueError(f"after chunk {chunk} there is something in a gap")
        finally:
            if descriptor != self._kept:
                os.close(descriptor)
        return shard_digest(crcs)

    def _open(self) -> int:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for a writer
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ValueError("not a regular file")
        return descriptor

    def _look_again(self, descriptor: int, stamp: tuple[int, ...]) -> None:
        """Check size and index of the file as it is now, and forget what was checked of it."""
        size = stamp[0]
        num_present = self._layout.num_present(size)
        index = bytearray(size - num_present * self._layout.stride)
        _read(descriptor, [index], size - len(index))
        if index != shard_index(self._layout.num_chunks, num_present, self._chunk_bytes):
            raise ValueError("the index is damaged")
        self._unchecked = bytearray(b"\1") * num_present  # before the stamp: `copy` looks at the two the other way
        self._known = stamp

    def _read_values(self, descriptor: int, target: Bytes, at: int, start: int, count: int) -> None:
        """The values as they lie in the file, around what lies between the chunks."""
        chunk = start // self._chunk_bytes
        position = start + chunk * self._gap
        room = (chunk + 1) * self._chunk_bytes - start
        parts: list[Any] = []
        while count > room:
            parts += target[at : at + room], self._between
            at += room
            count -= room
            room = self._chunk_bytes
        parts.append(target[at : at + count])
        _read(descriptor, parts, position)

    def _copy_checked(self, descriptor: int, target: Bytes, at: int, start: int, count: int) -> bool:
        """The values, each unknown chunk checked where it has been put; False where a known one may have changed."""
        stamp = _stamp(descriptor)
        if stamp != self._known:
            self._look_again(descriptor, stamp)
        unchecked, size = self._unchecked, self._chunk_bytes
        first, stop = start // size, (start + count - 1) // size + 1
        if stop > len(unchecked):
            raise ValueError(f"it has {len(unchecked)} chunks, chunk {stop - 1} is needed")
        all_checked = True
        for chunk in range(first, stop):
            begin, end = max(start - chunk * size, 0), min(start + count - chunk * size, size)
            part = target[at : at + end - begin]
            at += end - begin
            if unchecked[chunk]:
                self._read_chunk(descriptor, chunk, part, begin)
            else:
                _read(descriptor, [part], chunk * self._layout.stride + begin)
                all_checked = False
        unchanged = _stamp(descriptor) == stamp
        if unchanged:
            unchecked[first:stop] = bytes(stop - first)
        return unchanged or all_checked

    def _read_chunk(self, descriptor: int, chunk: int, part: Bytes, begin: int) -> tuple[int, Bytes]:
        """Fill `part` with the values of a chunk from byte `begin` on, and compare all of it with its crc32c.

        Returns that, and what follows it until the next chunk.
        """
        rest = np.empty(self._layout.stride - len(part), dtype=np.uint8)
        head, tail = rest[:begin], rest[begin:]
        _read(descriptor, [head, part, tail], chunk * self._layout.stride)
        after = tail[len(tail) - self._gap :]
        actual = crc32c_of(tail[: len(tail) - self._gap].data, crc32c_of(part.data, crc32c_of(head.data)))
        stored = int.from_bytes(after[:CRC_BYTES], "little")
        if actual != stored:
            raise ValueError(f"chunk {chunk} has crc32c {actual}, expected {stored}")
        return stored, after[CRC_BYTES:]


def _stamp(descriptor: int) -> tuple[int, ...]:
    """Size, times and identity: any change of a file changes them."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev


def _read(descriptor: int, parts: list[Any], position: int) -> None:
    """Fill the buffers from `position` on; `ValueError` where the file ends before."""
    for first in range(0, len(parts), _MOST_PARTS):
        some = parts[first : first + _MOST_PARTS]
        wanted = sum(map(len, some))
        got = os.preadv(descriptor, some, position)
        if got != wanted:
            _read_rest(descriptor, some, position, got)
        position += wanted


def _read_rest(descriptor: int, parts: list[Any], position: int, got: int) -> None:
    """Go on after `got` bytes: the system may give less than was asked for, and at the end of the file nothing."""
    position += got
    for part in parts:
        if got >= len(part):
            got -= len(part)
            continue
        view = memoryview(part)[got:]
        got = 0
        while view:
            more = os.preadv(descriptor, [view], position)
            if not more:
                raise ValueError(f"it ends at byte {position}, where there was more: it was cut")
            position += more
            view = view[more:]
