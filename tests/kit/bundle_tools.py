"""Runs that are measured within a second, as training and `evaluate` leave them: what a bundle is made of.

The networks have the weights they begin with, and the store has the rows of the small random encoder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import torch

from hpc.disk.files import atomic_write_json
from hpc.disk.sealed import read_sealed, write_sealed
from snw_dist.bundle.calibration_pairs import calibration_pairs_of
from snw_dist.bundle.format import BUNDLE
from snw_dist.bundle.members import chosen_members
from snw_dist.bundle.write import write_bundle
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.data.prepared import load_prepared
from snw_dist.data.trained import data_digest, rows_of
from snw_dist.embedding.encoder import build_encoder, load_encoder_weights
from snw_dist.embedding.run import layers_of
from snw_dist.embedding.store.commits import commit_shard, shard_buffer
from snw_dist.embedding.store.dtypes import torch_dtype
from snw_dist.embedding.store.group import create_part, finalize_part
from snw_dist.embedding.store.header import read_header
from snw_dist.embedding.store.part_plan import PartPlan
from snw_dist.embedding.store.plan import plan_embedding
from snw_dist.evaluate import report
from snw_dist.evaluate.compare.folds import compare_folds, folds_of
from snw_dist.evaluate.compare.runs import compare_runs, variants
from snw_dist.evaluate.run import evaluate_run
from snw_dist.evaluate.together import measure_band, measure_together
from snw_dist.predict.export import write_export
from snw_dist.predict.tuned_encoder import network_of
from snw_dist.trained_run.folder import Finished, write_finished
from tests.kit.tiny import MODEL, configured, write_project


def embedded_project(folder: Path, dtype: str = "float16", **sections: Any) -> SnwConfig:
    """The tiny project, prepared, with a store of its encoder, the small random one by default."""
    write_project(folder, store=False, **sections)
    config = configured(folder, store__dtype=dtype)
    prepared = ensure_prepared(config)
    if not config.store_path.exists():
        _fill_store(config, sorted({*prepared.ligands.values(), *prepared.receptors.values()}))
    return config


def _fill_store(config: SnwConfig, sequences: list[str]) -> None:
    section, path, dtype = config.encoder, config.store_path, config.store.dtype
    loaded = load_encoder_weights(section.name, section.weights, section.revision, section.sha256)
    layers, device = layers_of(config), torch.device("cpu")
    encoder = build_encoder(section.name, loaded, device, section.precision, layers, section.combine, 4096)
    plan = plan_embedding(sequences, 256, 16)
    part = PartPlan(0, path, plan, [("ligand", f"s{i}", i) for i in range(len(plan.sequences))], 0)
    create_part(path, plan, part.header(encoder.facts, dtype, encoder.model.row_width), part.names)
    buffer = shard_buffer(plan, encoder.model.row_width, torch_dtype(dtype))
    for shard in range(plan.num_shards):
        for _ in encoder.embed_into(buffer, [plan.sequences[i] for i in plan.shard_sequences(shard)]):
            pass
        commit_shard(path, plan, shard, buffer)
    finalize_part(path, plan)


def as_trained(config: SnwConfig) -> None:
    """What training leaves in the run folder, of weights that were not changed by it."""
    header, prepared = read_header(config.store_path), ensure_prepared(config)
    digest = data_digest(rows_of(prepared))
    network, more = network_of(config, header)
    facts = {"step": 3, "validation": {}, "provenance": {"trained_on": [digest]}} | more
    write_export(config.run_folder / "export", dict(network.state_dict()), config.model, header, facts)
    atomic_write_json(config.run_folder / "config.json", config_to_dict(config))
    write_finished(config.run_folder, Finished("all steps done", 3, {}, {}, []))


def measured_run(folder: Path, dtype: str = "float16", **sections: Any) -> SnwConfig:
    """A run with its evaluation, without pictures: drawing takes seconds."""
    config = embedded_project(folder, dtype, **sections)
    as_trained(config)
    with patch.object(report, "_pictures", lambda *_: {}):
        evaluate_run(config)
    return config


def compared_folds(folder: Path, models: list[str], seeds: list[int], **sections: Any) -> SnwConfig:
    """A cross-validation of three folds."""
    split = {"method": "random", "clusters": "identical", "folds": 3}
    config = embedded_project(folder, data={"split": split}, **sections)
    folds = [(fold, variants(fold, models, seeds)) for fold in folds_of(config)]
    for fold, runs in folds:
        ensure_prepared(fold)
        for group in runs.values():
            for run in group:
                as_trained(run)
    compare_folds(config, folds)
    return config


def compared_runs(folder: Path, models: list[str], seeds: list[int], **sections: Any) -> SnwConfig:
    """A comparison of several networks and seeds."""
    config = embedded_project(folder, **sections)
    runs = variants(config, models, seeds)
    for group in runs.values():
        for run in group:
            as_trained(run)
    compare_runs(config, runs)
    return config


def bundled(config: SnwConfig, target: Path, choice: str | None = None, calibration_split: str | None = None) -> Path:
    """The bundle of a run, or of members of its comparison, as `launch/export.py` makes it."""
    chosen = chosen_members(config, choice)
    mean = None
    how = config.evaluate.bootstrap, config.run.seed, False
    if len(chosen.members) > 1:
        mean = measure_together(chosen.tables, *how)
    band = measure_band(chosen.tables, chosen.calibration(mean), *how)
    pairs = calibration_pairs_of(chosen, calibration_split) if calibration_split is not None else None
    write_bundle(target, config.run.name, chosen, mean, band, config, pairs)
    return target


def with_model(name: str, **train: Any) -> dict[str, Any]:
    """Sections of the configuration: a small network, and how it is trained."""
    return {"model": MODEL | {"name": name, "num_heads": 2}, "train": {"max_steps": 4} | train}


def measured_pairs(config: SnwConfig, file: str = "evaluation/predictions.parquet") -> pd.DataFrame:
    """What `evaluate` or `compare` wrote, with the sequences."""
    prepared = load_prepared(config.data_folder)
    table = pd.read_parquet(config.run_folder / file)
    ligand, receptor = table["ligand_id"].map(prepared.ligands), table["receptor_id"].map(prepared.receptors)
    return table.assign(ligand=ligand, receptor=receptor)


def sign(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what bundle.json says, with a digest of its own that is right."""
    content = read_sealed(bundle / BUNDLE)
    change(content)
    write_sealed(bundle / BUNDLE, content)


def put(bundle: Path, name: str, data: bytes) -> None:
    """Another file, which bundle.json names with its right size and digest."""
    (bundle / name).parent.mkdir(parents=True, exist_ok=True)
    (bundle / name).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    sign(bundle, lambda content: content["files"].update({name: entry}))
