"""The two inputs of the training benchmark, embedded with random rows of 960 values: store, `.pt` files and HDF5.

`pep_receptor`: no sequence comes twice; receptors of 41 to 399 residues, 195 in the mean, peptides of 8 to 40.
`mhc_binding`: the shipped set, 41 receptors of 144 residues with thousands of peptides of 8 to 11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from snw_dist.config import SnwConfig, config_from_dict
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import Prepared, load_prepared
from snw_dist.embedding.row_reader import read_rows
from snw_dist.embedding.store.commits import commit_shard
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.embedding.store.reader import StoreReader

WIDTH = 960
LAYER = 30
"""Under which `esm`'s extract script leaves the last layer of the 300M network."""
SHIPPED = Path(__file__).parents[1] / "data" / "mhc_binding"
ENCODER = {"name": "bench", "description": "random rows", "weights_sha256": "0" * 64, "layers": [LAYER]}
ENCODER |= {"combine": "concat", "arithmetic": "fp32", "window_residues": 2046, "window_overlap": 512}


@dataclass(frozen=True)
class Input:
    """One data set, ready for ours and for the peers."""

    values: dict[str, Any]
    """What the configuration is made from."""
    cap: int
    """`normalized_sequence_length`: the longest sequence, rounded up to a multiple of 8."""

    @property
    def config(self) -> SnwConfig:
        """The run on this data, with the defaults of everything else."""
        return config_from_dict(self.values)


def pep_receptor(folder: Path, num_pairs: int, files: Sequence[str] = ("pt", "h5py")) -> Input:
    """`num_pairs` training pairs (and a few more for validation) of sequences that come once; `files` for the peers."""
    draw = np.random.default_rng(0)
    count = num_pairs + 40
    lengths = {
        "ligand": draw.integers(8, 41, count),
        "receptor": 41 + np.round(358 * draw.beta(1.5, 1.5 * 204 / 154, count)).astype(np.int64),
    }
    folder.mkdir()
    for side, of_side in lengths.items():
        sequences = ("".join(draw.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)) for length in of_side)
        (folder / f"{side}s.fasta").write_text("".join(f">{side}{i}\n{s}\n" for i, s in enumerate(sequences)))
    splits = ["train"] * num_pairs + ["val", "test"] * 20
    rows = [f"ligand{i},receptor{i},{int(draw.integers(2))},{split}" for i, split in enumerate(splits)]
    (folder / "pairs.csv").write_text("\n".join(["ligand_id,receptor_id,label,split", *rows]) + "\n")
    return _embedded(
        folder, {key: str(folder / f"{key}.fasta") for key in ("ligands", "receptors")}, folder, 400, files
    )


def mhc_binding(folder: Path, files: Sequence[str] = ("pt", "h5py")) -> Input:
    """The shipped set with its own splits."""
    folder.mkdir()
    data: dict[str, Any] = {key: str(SHIPPED / f"{key}.fasta") for key in ("ligands", "receptors")}
    return _embedded(folder, {**data, "columns": {"binary": "binds"}}, SHIPPED, 144, files)


def _embedded(folder: Path, data: dict[str, Any], tables: Path, cap: int, files: Sequence[str]) -> Input:
    values = {
        "run": {"name": "bench", "folder": str(folder)},
        "data": {**data, "pairs": str(tables / "pairs.csv"), "folder": str(folder / "data")},
        "store": {"path": str(folder / "store.zarr")},
    }
    config = config_from_dict(values)
    prepare(config)
    prepared = load_prepared(config.data_folder)
    reader = _store(config, prepared)
    named = {**prepared.ligands, **prepared.receptors}
    if "pt" in files:
        (folder / "pt").mkdir()
        for name, sequence in named.items():
            rows = read_rows(reader, reader.index(sequence)).float()
            torch.save({"label": name, "representations": {LAYER: rows}}, folder / "pt" / f"{name}.pt")
    if "h5py" in files:
        with h5py.File(folder / "rows.h5", "w") as file:
            for name, sequence in named.items():
                file.create_dataset(name, data=read_rows(reader, reader.index(sequence)).numpy())
    return Input(values, cap)


def _store(config: SnwConfig, prepared: Prepared) -> StoreReader:
    sequences = [*prepared.ligands.values(), *prepared.receptors.values()]
    plan = plan_embedding(sequences, config.store.shard_rows, config.store.chunk_rows)
    names = [("ligand", str(number), number) for number in range(len(plan.sequences))]
    part = PartPlan(0, config.store_path, plan, names, 0)
    create_part(part.path, plan, part.header(ENCODER, "float16", WIDTH), names)
    for shard in range(plan.num_shards):
        commit_shard(part.path, plan, shard, torch.randn(plan.shard_rows, WIDTH).half())
    finalize_part(part.path, plan)
    return StoreReader(config.store_path)
