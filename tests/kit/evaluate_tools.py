"""Pairs with sequences as `pairs_of` gives them, made up; and a small export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from snw_dist.config import ModelSection, SnwConfig, config_from_dict
from snw_dist.data.prepare import prepare
from snw_dist.data.prepared import load_prepared
from snw_dist.data.trained import data_digest, rows_of
from snw_dist.embedding.store.header import read_header
from snw_dist.evaluate.measure.held_out import STRATA
from snw_dist.evaluate.measure.measured import Measured, measure_scores, parts_of
from snw_dist.model.build import build_model
from snw_dist.predict.export import verify_export, write_export
from tests.kit.train_tools import WIDTH, stored

LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


def sequences(rng, count, shortest=8, longest=12):
    return ["".join(rng.choice(LETTERS, rng.integers(shortest, longest))) for _ in range(count)]


def pair_table(ligands, receptors, label, split="train"):
    """One row a pair, positive from a label of one half on."""
    label = np.asarray(label, dtype=np.float64)
    return pd.DataFrame(
        {
            "ligand_id": [f"l{i}" for i in range(len(label))],
            "receptor_id": [f"r, {sequence[:8]}" for sequence in receptors],
            "ligand": ligands,
            "receptor": receptors,
            "label": label,
            "positive": label >= 0.5,
            "split": split,
        }
    )


def held_out_pairs(seed=0, num_pairs=400):
    """Held-out pairs of 7 receptors: val, test (all of one stratum) and mixed (of two)."""
    rng = np.random.default_rng(seed)
    receptors = np.array(sequences(rng, 7, 20, 30))
    pairs = pair_table(sequences(rng, num_pairs), receptors[np.arange(num_pairs) % 7], rng.random(num_pairs))
    pairs["split"] = rng.choice(["test", "val", "mixed"], num_pairs)
    pairs["stratum"] = STRATA[1]
    pairs.loc[(pairs["split"] == "mixed") & (np.arange(num_pairs) % 3 == 0), "stratum"] = STRATA[2]
    return pairs


def good_scores(pairs, seed=0, strength=0.5):
    """Scores in [0, 1] that follow the label."""
    noise = np.random.default_rng(seed).random(len(pairs))
    return strength * pairs["label"].to_numpy() + (1 - strength) * noise


def measured(noise: float, seed: int, fold: int = 0) -> Measured:
    """Scores of 300 pairs of 25 receptors, `noise` away from the label; a fold has pairs and draws of its own."""
    label = np.random.default_rng(fold).random(300)
    pairs = pd.DataFrame(
        {
            "split": ["val"] * 100 + ["test"] * 200,
            "stratum": [STRATA[0]] * 300,
            "receptor": [f"R{i % 25}" for i in range(300)],
            "label": label,
            "positive": label > 0.6,
        }
    )
    scores = np.clip(label + noise * np.random.default_rng(seed).standard_normal(300), 0, 1)
    return measure_scores(pairs, parts_of(pairs, 200, 1 + fold), scores, 1)


def exported_siamese(folder: Path, seed: int) -> Path:
    """An export of random weights beside a store, in place of one that is there."""
    store = folder / "store.zarr"
    header = read_header(store) if store.exists() else stored(store, ["ACD"]).header
    section = ModelSection(name="siamese", d_model=8, num_heads=2, num_conv_layers=0, num_transformer_layers=0)
    weights = dict(build_model(section, WIDTH, seed).named_parameters())
    write_export(folder / "export", weights, section, header, {"step": 12, "validation": {}, "provenance": {}})
    return folder / "export"


def made_of(export: Path) -> dict[str, str]:
    """What `score_run` says of the weights that it has loaded."""
    return {"weights_sha256": verify_export(export)[0], "store_rows_sha256": "ab" * 32}


def exported_run(folder: Path) -> SnwConfig:
    """40 pairs of made-up rows, and an export that no training has made."""
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    rng = np.random.default_rng(0)
    ligands, receptors = (["".join(rng.choice(letters, 9)) for _ in range(n)] for n in (40, 3))
    for name, sequences in (("l", ligands), ("r", receptors)):
        (folder / f"{name}.fasta").write_text("".join(f">{name}{i}\n{s}\n" for i, s in enumerate(sequences)))
    rows = [f"l{i},r{i % 3},{i // 3 % 2},{['train', 'val', 'test'][i % 3]}" for i in range(40)]
    (folder / "pairs.csv").write_text("\n".join(["ligand_id,receptor_id,label,split", *rows]) + "\n")
    config = config_from_dict(
        {
            "run": {"name": "whole", "folder": str(folder)},
            "data": {
                "ligands": str(folder / "l.fasta"),
                "receptors": str(folder / "r.fasta"),
                "pairs": str(folder / "pairs.csv"),
            },
            "model": {"d_model": 8, "num_heads": 2, "num_conv_layers": 0, "num_transformer_layers": 0},
            "evaluate": {"bootstrap": 5, "controls": []},
            "train": {"device": "cpu"},
        }
    )
    prepare(config)
    stored(config.store_path, [*ligands, *receptors])
    export(config, 1)
    return config


def export(config: SnwConfig, seed: int) -> None:
    provenance = {"trained_on": [data_digest(rows_of(load_prepared(config.data_folder)))]}
    facts = {"step": seed, "validation": {}, "provenance": provenance}
    weights = dict(build_model(config.model, WIDTH, seed).named_parameters())
    write_export(config.run_folder / "export", weights, config.model, read_header(config.store_path), facts)
