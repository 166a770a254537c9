"""Whether the tables of a store can be true: what follows from them alone, and from the sequences of the input.

Digests of files say that nothing has changed since the store was made. They say nothing about a store that was made
wrong, or made to look right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpc.errors import CorruptError
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.embedding.store.plan import pack, plan_embedding, sequence_digest
from snw_dist.embedding.store.tables import Name, read_names, read_table

KINDS = ("ligand", "receptor")
Tables = Mapping[str, Mapping[str, str]]
"""From kind to id to sequence."""


def packing_problem(
    header: StoreHeader, lengths: NDArray[np.int64], offsets: NDArray[np.int64], digests: NDArray[np.uint8]
) -> str:
    """What shows that the sequences of a part do not lie as they were planned; empty where nothing does.

    `lengths`, `offsets`: [num_sequences] in residues, `digests`: [num_sequences, 32].
    """
    wanted, starts = pack(lengths, header.shard_rows)
    if (np.diff(lengths) < 0).any():
        return "the sequences are not in the order of their lengths"
    if int(lengths.sum()) != header.num_residues:
        return f"{int(lengths.sum()):,} residues, the header says {header.num_residues:,}"
    if lengths[-1] > header.shard_rows or len(starts) - 1 != header.num_shards or not np.array_equal(offsets, wanted):
        return "the sequences do not lie where they were planned"
    if len(np.unique(digests, axis=0)) != len(digests):
        return "a sequence is there twice"
    return ""


def names_problem(header: StoreHeader, names: Iterable[Name]) -> str:
    """What shows that the names of a part cannot be those of its sequences; empty where nothing does."""
    named = np.zeros(header.num_sequences, dtype=bool)
    before = (-1, "")
    for kind, name, index in names:
        if kind not in KINDS or not name:
            return f"{kind!r:.60} is neither ligand nor receptor, or has no id"
        now = (KINDS.index(kind), name)
        if now <= before:
            return f"{kind} {name!r:.60} is there twice, or not in its place"
        if not 0 <= index - header.first_sequence < header.num_sequences:
            return f"{kind} {name!r:.60} stands for sequence {index}, which is not in this part"
        named[index - header.first_sequence] = True
        before = now
    return "" if named.all() else f"sequence {int(np.argmin(named)) + header.first_sequence} has no name"


def check_parts(parts: Mapping[Path, StoreHeader]) -> None:
    """Raise `CorruptError` where sound parts do not follow each other, or two of them hold the same."""
    first, digests, names = 0, set[bytes](), set[tuple[str, str]]()
    for number, (part, header) in enumerate(parts.items()):
        if (header.part, header.first_sequence) != (number, first):
            raise CorruptError(f"{part}: it does not belong after the parts before it")
        own = {digest.tobytes() for digest in read_table(part, "digests")}
        ids = {(kind, name) for kind, name, _ in read_names(part)}
        if (twice := digests & own) or names & ids:
            what = "a sequence" if twice else f"{' '.join(min(names & ids))!r:.80}"
            raise CorruptError(f"{part}: {what} is in a part before it too")
        first, digests, names = first + header.num_sequences, digests | own, names | ids


def check_against_input(part: Path, header: StoreHeader, tables: Tables, source: Path) -> None:
    """Hold a sound part against the cleaned input: what each id stands for, and what was planned and committed.

    Raises `CorruptError`. Of sequences that the input does not have nothing can be said.
    """
    digests = [digest.tobytes() for digest in read_table(part, "digests")]
    for kind, name, index in read_names(part):
        sequence = tables[kind].get(name)
        if sequence is not None and sequence_digest(sequence) != digests[index - header.first_sequence]:
            raise CorruptError(
                f"{part}: {kind} {name!r:.80} stands for another sequence than in {source}. Prepare the input that the "
                "store was made from; if this is that input, remove the store and embed again."
            )
    known = {sequence_digest(s): s for table in tables.values() for s in table.values()}
    if not all(digest in known for digest in digests):
        return
    plan = plan_embedding([known[digest] for digest in digests], header.shard_rows, header.chunk_rows)
    crcs = [plan.sequences_crc(shard) for shard in range(plan.num_shards)]
    if (
        [sequence_digest(sequence) for sequence in plan.sequences] != digests
        or plan.digest(header.row_settings) != header.plan_digest
        or read_table(part, "commits")[:, 1].tolist() != crcs
    ):
        raise CorruptError(
            f"{part}: its rows are not those of its sequences, as {source} has them. Remove the store and embed again."
        )
