"""On what the network of a run was trained, up to now: see `snw_dist.data.trained`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snw_dist.data.prepared import Prepared
from snw_dist.data.trained import UNKNOWN, Rows, data_digest, rows_of, what_changed, write_record


@dataclass
class Lineage:
    """The data of a run, and those of the checkpoints that it goes on from."""

    run_folder: Path
    rows: Rows
    origin: Mapping[str, Any]
    digest: str
    trained_on: list[str] = field(default_factory=list)
    """Digests of all data that the network has learned from, oldest first; the last is `digest`."""

    @staticmethod
    def of(prepared: Prepared, run_folder: Path) -> Lineage:
        """Of a run that begins with these data."""
        rows = rows_of(prepared)
        digest = data_digest(rows)
        return Lineage(run_folder, rows, prepared.summary["made_from"], digest, [digest])

    def changes(self, provenance: Mapping[str, Any]) -> str:
        """In words, how the data differ from those of a checkpoint or an end with this provenance."""
        return what_changed(self.run_folder, trained_on(provenance)[-1], self.rows, self.origin)

    def follow(self, provenance: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.trained_on = [*(digest for digest in trained_on(provenance) if digest != self.digest), self.digest]

    def write(self) -> None:
        """Leave the record of these data in the run folder."""
        write_record(self.run_folder, self.rows, self.origin)


def trained_on(provenance: Mapping[str, Any]) -> list[str]:
    """What the provenance of a checkpoint or an export says; `UNKNOWN` where an older version made it."""
    found = provenance.get("trained_on")
    return [str(digest) for digest in found] if isinstance(found, list) and found else [UNKNOWN]
