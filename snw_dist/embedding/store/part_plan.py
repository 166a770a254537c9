"""Which sequences the next part of a store has to hold, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc.errors import InputError
from snw_dist.embedding.store.header import GROUP, StoreHeader, differences, no_store, read_header, row_settings
from snw_dist.embedding.store.part_names import RECORDS, is_begun, part_path, part_paths
from snw_dist.embedding.store.plan import EmbeddingPlan, plan_embedding, sequence_digest
from snw_dist.embedding.store.tables import Name, read_names, read_table

Tables = Sequence[tuple[str, Mapping[str, str]]]
"""(kind, {id: sequence}) of ligands and receptors."""


@dataclass(frozen=True)
class Content:
    """What the complete parts of a store hold."""

    num_parts: int
    digests: frozenset[bytes]
    """Of their sequences."""
    names: Mapping[tuple[str, str], bytes]
    """(kind, id) to the digest of its sequence."""


EMPTY = Content(0, frozenset(), {})


@dataclass(frozen=True)
class PartPlan:
    """One part, planned."""

    part: int
    path: Path
    plan: EmbeddingPlan
    names: list[Name]
    first_sequence: int

    def header(self, encoder: Mapping[str, object], logical_dtype: str, row_width: int) -> StoreHeader:
        """Its attributes while it is being filled."""
        return StoreHeader(
            encoder=dict(encoder),
            logical_dtype=logical_dtype,
            row_width=row_width,
            plan_digest=self.plan.digest(row_settings(encoder, logical_dtype, row_width)),
            num_sequences=len(self.plan.sequences),
            num_shards=self.plan.num_shards,
            num_residues=self.plan.num_residues,
            shard_rows=self.plan.shard_rows,
            chunk_rows=self.plan.chunk_rows,
            part=self.part,
            first_sequence=self.first_sequence,
        )


def read_content(parts: Iterable[Path]) -> Content:
    """Sequences and names of complete parts, given in order from the first."""
    digests: list[bytes] = []
    names: dict[tuple[str, str], bytes] = {}
    parts = list(parts)
    for part in parts:
        digests += [digest.tobytes() for digest in read_table(part, "digests")]
        names |= {(kind, name): digests[index] for kind, name, index in read_names(part)}
    return Content(len(parts), frozenset(digests), names)


def complete_parts(store: Path) -> list[Path]:
    """The parts that are complete, in order; none where there is no store."""
    return [part for part in part_paths(store) if is_complete(part)]


def is_complete(part: Path) -> bool:
    """Whether everything is in a part; false where it is not begun, or was killed in its first moment.

    Raises `InputError` for a folder that is something else.
    """
    if not is_begun(part) or (not (part / GROUP).exists() and (part / RECORDS).is_dir()):
        return False
    if not (part / GROUP).exists():
        raise no_store(part)
    return read_header(part).complete


def missing_sequences(tables: Tables, content: Content) -> list[str]:
    """Distinct sequences of the input that the store does not hold, in the order of the input."""
    distinct = dict.fromkeys(sequence for _, table in tables for sequence in table.values())
    return [sequence for sequence in distinct if sequence_digest(sequence) not in content.digests]


def refuse_other_sequences(store: Path, tables: Tables, content: Content) -> None:
    """Raise `InputError` where ids stand for other sequences in the store: nothing that is added mends that."""
    changed = [
        (kind, name)
        for kind, table in tables
        for name in table.keys() & {known for of_kind, known in content.names if of_kind == kind}
        if content.names[kind, name] != sequence_digest(table[name])
    ]
    if changed:
        kind, name = min(changed)
        raise InputError(
            f"{store}: {kind} {name!r} is there with another sequence than in the present input{_and_others(changed)}. "
            "An id stands for one sequence in a store. Choose another store.path, or give the new sequence an id of "
            "its own, in the FASTA file and in the table of pairs."
        )


def _and_others(changed: Sequence[object]) -> str:
    return f", and {len(changed) - 1:,} more" if len(changed) > 1 else ""


def refuse_missing(store: Path, tables: Tables) -> None:
    """Raise `InputError` where a complete store lacks sequences of `tables`, with what helps."""
    content = read_content(complete_parts(store))
    if missing := missing_sequences(tables, content):
        refuse_other_sequences(store, tables, content)
        raise lacking(store, len(missing))


def lacking(store: Path, num_missing: int) -> InputError:
    """The error for a store without some sequences of the input."""
    return InputError(
        f"{store}: complete, but {num_missing:,} sequences of the present input are not in it. Add them: "
        "snw-dist embed --append, or choose another store.path."
    )


def plan_part(
    store: Path, tables: Tables, sequences: Sequence[str], content: Content, shard_rows: int, chunk_rows: int
) -> PartPlan:
    """Plan the part after those of `content` for `sequences`; every name that the store does not know goes with it.

    Raises `InputError` for an id that the store has with another sequence.
    """
    refuse_other_sequences(store, tables, content)
    plan = plan_embedding(sequences, shard_rows, chunk_rows)
    first = len(content.digests)
    number = {sequence: first + i for i, sequence in enumerate(plan.sequences)}
    names: list[Name] = []
    for kind, table in tables:
        for name, sequence in sorted(table.items()):
            if (kind, name) not in content.names and sequence in number:
                names.append((kind, name, number[sequence]))
    return PartPlan(content.num_parts, part_path(store, content.num_parts), plan, names, first)


def replan_part(
    store: Path, part: int, num_parts: int, tables: Tables, digests_sound: bool, shard_rows: int, chunk_rows: int
) -> PartPlan:
    """Plan a part that is there again, from the present input and what the other parts hold.

    Its sequences are those of its own table of digests where that is sound, else those that no other part has. Raises
    `InputError` when the input lacks some of them.
    """
    before = read_content(part_path(store, number) for number in range(part))
    of_digest = {sequence_digest(s): s for s in missing_sequences(tables, EMPTY)}
    if digests_sound:
        own = [digest.tobytes() for digest in read_table(part_path(store, part), "digests")]
    else:
        later = [read_table(part_path(store, number), "digests") for number in range(part + 1, num_parts)]
        elsewhere = before.digests | {digest.tobytes() for table in later for digest in table}
        own = [digest for digest in of_digest if digest not in elsewhere]
    absent = sum(digest not in of_digest for digest in own)
    if absent or not own:
        raise InputError(
            f"{part_path(store, part)}: {absent or 'all'} of its sequences are not in the present input, so it cannot "
            "be mended. Prepare the input that it was made from."
        )
    return plan_part(store, tables, [of_digest[digest] for digest in own], before, shard_rows, chunk_rows)


def check_mixes(store: Path, wanted: StoreHeader) -> None:
    """Raises `InputError` for rows of another encoder, layer or number format than those of a store."""
    if other := differences(read_header(store).row_settings, wanted.row_settings):
        raise InputError(f"{store}: made with other settings ({other}). Choose another store.path.")
