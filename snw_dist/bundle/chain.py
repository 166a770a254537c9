"""From a bundle back to the data: export, checkpoint, store, training pairs and input files, each by its digest.

What is not there is said and passed over: whoever was given a bundle has nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from hpc.disk.files import file_digest
from hpc.errors import InputError
from hpc.save.checkpoint import checkpoint_name, verify_checkpoint
from hpc.told import long_work
from snw_dist.bundle.format import MemberEntry, RowsEntry
from snw_dist.bundle.members import settings_of
from snw_dist.bundle.read import open_bundle
from snw_dist.config import SnwConfig
from snw_dist.data.files.inputs import TABLES
from snw_dist.data.prepared import load_prepared, read_summary
from snw_dist.data.trained import data_digest, read_record, rows_of
from snw_dist.embedding.store.header import read_header
from snw_dist.predict.export import verify_export
from snw_dist.trained_run.changes import PAIRS, STORE


class Link(NamedTuple):
    """One thing that the one before it in the chain was made from."""

    name: str
    path: Path
    holds: Callable[[], bool]
    """Whether it is what it was; asked only where `path` is there."""


def walk_chain(folder: Path, config: SnwConfig) -> Iterator[str]:
    """A line for each link, as far as the parts are there; `config` says where the runs are.

    Raises `InputError` at the end where a part is there and is not what the bundle was made from, and as `open_bundle`,
    or as whoever reads a part, where one is damaged.
    """
    says = open_bundle(folder).says
    yield f"bundle: {len(says.files):,} files, each as bundle.json says"
    broken = []
    for name, member in says.members.items():
        run_folder = config.run_folder.with_name(member.run)
        if not run_folder.is_dir():
            yield f"{name}: {run_folder} is not there, so there is nothing more to compare"
            continue
        for link in _links(member, says.rows, run_folder, settings_of(run_folder, config)):
            with long_work(f"{name}: {link.name}"):
                same = link.holds() if link.path.exists() else None
            yield f"{name}: {link.name}: {'not there' if same is None else 'as it was' if same else 'another by now'}"
            broken += [f"{name}: {link.name} ({link.path})"] if same is False else []
    if broken:
        raise InputError(f"{folder}: not made from what is there now: {'; '.join(broken)}.")


def _links(member: MemberEntry, rows: RowsEntry, run_folder: Path, settings: SnwConfig) -> Iterator[Link]:
    """From the export down to the input files."""
    digest, export, data = member.trained_on[-1], run_folder / "export", settings.data_folder
    checkpoint = run_folder / "checkpoints" / checkpoint_name(member.step)

    def of_checkpoint() -> bool:
        trajectory = verify_checkpoint(checkpoint).meta["trajectory"]
        return (trajectory.get(PAIRS), trajectory.get(STORE)) == (digest, rows.sha256)

    yield Link("export", export, lambda: verify_export(export)[0] == member.weights_sha256)
    yield Link("checkpoint", checkpoint, of_checkpoint)
    yield Link("store", settings.store_path, lambda: read_header(settings.store_path).rows_digest == rows.sha256)
    record = run_folder / "trained" / f"{digest}.pairs"
    yield Link("record of the training pairs", record, lambda: len(read_record(run_folder, digest)) > 0)
    yield Link("split", data, lambda: data_digest(rows_of(load_prepared(data))) == digest)
    inputs = read_summary(data)["made_from"]["inputs"] if data.exists() else {}
    for name in [table for table in TABLES if table in inputs or not inputs]:  # sequences may be in the pair table
        file, expected = Path(getattr(settings.data, name)), inputs.get(name)
        yield Link(f"data.{name}", file, _has_digest(file, expected))


def _has_digest(file: Path, expected: str | None) -> Callable[[], bool]:
    return lambda: expected is not None and file_digest(file) == expected
