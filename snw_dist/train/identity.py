"""What a run is: all that decides its weights, and what made it. Every checkpoint and the end of the run say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpc.disk.files import atomic_write_json
from hpc.job.runtime import Runtime
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.train.inputs import Inputs
from snw_dist.train.provenance import provenance
from snw_dist.trained_run.lineage import Lineage
from snw_dist.trained_run.trajectory import trajectory


@dataclass(frozen=True)
class Identity:
    """The run as it is now; what an older part of it was is in its checkpoints."""

    config: SnwConfig
    lineage: Lineage
    trajectory: dict[str, Any]
    made_by: dict[str, Any]
    """Encoder, versions, device and number of ranks; `provenance` adds the data."""

    @staticmethod
    def of(config: SnwConfig, inputs: Inputs, runtime: Runtime) -> Identity:
        """Of a run that begins with these inputs."""
        header, lineage, world_size = inputs.header, inputs.lineage, runtime.topology.world_size
        return Identity(
            config,
            lineage,
            trajectory(config, lineage.digest, header.rows_digest, world_size),
            provenance(header.encoder, world_size, runtime.device, lineage.origin["inputs"]),
        )

    @property
    def provenance(self) -> dict[str, Any]:
        """Plain data for checkpoints, exports and `provenance.json`."""
        return {**self.made_by, "trained_on": self.lineage.trained_on}

    def write(self) -> None:
        """Leave it in the run folder, for people and for what is trained on these data later."""
        atomic_write_json(self.config.run_folder / "config.json", config_to_dict(self.config))
        atomic_write_json(self.config.run_folder / "provenance.json", self.provenance)
        self.lineage.write()
