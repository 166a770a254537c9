"""A run to be reported, made up: its files are never on disk, but for what `evaluate_scores` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.prepared import Prepared
from snw_dist.evaluate import report
from snw_dist.evaluate.measure.held_out import STRATA
from snw_dist.report.run.files import RunFiles
from snw_dist.report.run.rejects import Reason
from snw_dist.report.run.starts import Start
from snw_dist.trained_run.folder import Finished
from tests.kit.evaluate_tools import good_scores, sequences

HOSTILE = "<script>window.hacked=1</script>"
HOSTILE_IMAGE = '"><img src=x onerror=window.hacked=1>&amp;${7*7}{{7*7}}'


def reported(folder: Path, num_pairs: int = 900, num_receptors: int = 12, seed: int = 0) -> RunFiles:
    """A run with all that a report may show: several splits and strata, restarts, rejects, findings, and bad names."""
    pairs, ligands, receptors = _pairs(num_pairs, num_receptors, seed)
    scores = good_scores(pairs, seed)
    controls: dict[Any, Any] = {
        "degree": np.random.default_rng(1).random(num_pairs),
        "ligand": good_scores(pairs, 2, 0.2),
    }
    held = pairs["split"] != "train"
    provenance = {"run": "made <up>", "network": "siamese", "encoder": "ESM C, RANDOM weights", "step": 40}
    with patch.object(report, "_pictures", lambda *_: {}):  # drawing them takes seconds
        metrics, model = report.evaluate_scores(
            pairs[held].reset_index(drop=True),
            scores[held],
            {name: values[held] for name, values in controls.items()},
            repeats=20,
            seed=1,
            provenance=provenance | {"data_files": {"pairs.parquet": "ab"}, "versions": {"torch": "2"}, "inputs": {}},
            metrics_log=None,
            folder=folder / "evaluation",
        )
    predictions = pairs[held].reset_index(drop=True).assign(score=scores[held], probability=model.probability)
    return RunFiles(
        settings=SnwConfig(),
        folder=folder,
        metrics=metrics,
        predictions=predictions,
        prepared=Prepared(ligands, receptors, pairs, _summary(pairs)),
        rejects=[Reason("ligands.fasta", "a letter that is no residue", 2, f"line 3: {HOSTILE}")],
        log=_log(120),
        starts=[
            Start(0),
            Start(30, "queued again: preempted", "preempted"),
            Start(60, "queued again: preempted", "preempted"),
            Start(80, "started again by a new job", "new job"),
        ],
        finished=Finished("all steps done", 120, {"step": 40}),
        provenance={},
        config=config_to_dict(SnwConfig()),
        audit=[
            {"kind": "degree_bias", "where": HOSTILE, "count": 3, "total": 9, "effect": "So far.", "examples": ["a"]}
        ],
        embedding={
            f"{rank:05d}": [{"residues": 900 + rank, "seconds": 2.0, "waited_for_writer_s": 0.1}] for rank in (0, 1)
        },
    )


def _pairs(num_pairs: int, num_receptors: int, seed: int) -> tuple[pd.DataFrame, dict[str, str], dict[str, str]]:
    rng = np.random.default_rng(seed)
    ligands = {f"l{i}": text for i, text in enumerate(sequences(rng, num_pairs // 3))}
    receptors = {f"R*{i:02d}:01": text for i, text in enumerate(sequences(rng, num_receptors - 2, 60, 90))}
    receptors |= dict(zip((HOSTILE, HOSTILE_IMAGE), sequences(rng, 2, 60, 90), strict=True))
    label = rng.random(num_pairs)
    ligand, receptor = rng.choice(list(ligands), num_pairs), rng.choice(list(receptors), num_pairs)
    pairs = pd.DataFrame({"ligand_id": ligand, "receptor_id": receptor, "label": label, "positive": label > 0.6})
    pairs["split"] = rng.choice(["train", "val", "test", "test_of_unseen_receptors"], num_pairs)
    pairs["stratum"] = rng.choice(STRATA[1:], num_pairs)
    pairs["weight"] = 1.0
    return (
        pairs.assign(ligand=pairs["ligand_id"].map(ligands), receptor=pairs["receptor_id"].map(receptors)),
        ligands,
        receptors,
    )


def _summary(pairs: pd.DataFrame) -> dict[str, Any]:
    names = ("ligands", "receptors", "ligands_in_train", "receptors_in_train")
    splits = {
        str(split): {"pairs": len(rows), "positives": int(rows["positive"].sum()), **dict.fromkeys(names, 3)}
        for split, rows in pairs.groupby("split")
    }
    counts = {"read": 20, "kept": 17, "merged": 1, "rejected": 2}
    return {
        "counts": dict.fromkeys(("ligands", "receptors", "pairs"), counts),
        "splits": splits,
        "dropped": {"no partner of another family": 4},
        "notes": [f"a column is not used: {HOSTILE}"],
        "made_from": {"settings": {}},
        "given": {"data.positive_from": 0.6},
        "files": {"pairs.parquet": "ab"},
    }


def _log(num_steps: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(3)
    steps = [
        {
            "kind": "train",
            "step": step,
            "loss": 1 / step + rng.random() / 9,
            "learning_rate": 1e-3,
            "seconds": 0.1,
            "gradient_norm": float(rng.lognormal()),
            "data_wait_s": 0.001,
            "pairs_per_s": 900 + 90 * rng.random(),
        }
        for step in range(1, num_steps + 1)
    ]
    validations = [
        {"kind": "validation", "step": step, "loss": 0.5, "auroc": 0.7 + step / 1000}
        for step in range(20, num_steps + 1, 20)
    ]
    return [*steps, *validations, {"kind": "changed", "step": 30, "changes": ["train.epochs: 3, was 2"]}]
