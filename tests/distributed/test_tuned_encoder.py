"""Training ESM C along with the network: begins at the rows of the store, resumes, is exported, and scores."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from hpc.errors import InputError
from hpc.save.checkpoint import checkpoint_name, committed_checkpoints, verify_checkpoint
from snw_dist.config import SnwConfig, config_to_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.embedding.store.reader import StoreReader
from snw_dist.embedding.weights.read import tiny_random_weights
from snw_dist.evaluate.run import score_run
from snw_dist.model.encoded import Encoded
from snw_dist.predict.export import read_export
from snw_dist.predict.tuned_encoder import check_lengths, network_of
from snw_dist.train.precheck import check_training
from snw_dist.train.remake import weights_of
from tests.bench.embed import esm_model
from tests.bench.natural import INNER, WIDTH
from tests.kit.ranks import run_ranks
from tests.kit.shipped import embedded_run
from tests.kit.trainings import TRAINING

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> SnwConfig:
    """A small network without dropout, on a store in float32, and the first loss of its frozen training."""
    folder = tmp_path_factory.mktemp("tuned")
    config = embedded_run(
        folder,
        "frozen",
        data={"folder": str(folder / "data")},
        store={"dtype": "float32"},
        model={"d_model": 16, "num_conv_layers": 1, "num_transformer_layers": 1, "embedding_size": 16, "dropout": 0},
        train={"max_steps": 2, "validate_every": 2, "global_batch_size": 24, "warmup_steps": 1},
    )
    [rank] = run_ranks(TRAINING, 1, config_to_dict(config), folder / "train", timeout_s=200)
    assert rank.returncode == 0, rank.log
    return config


def losses(config: SnwConfig) -> list[float]:
    lines = (config.run_folder / "metrics.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if record["kind"] == "train"]


@pytest.mark.parametrize(("mode", "stage"), [("lora", 3), ("full", 3), ("full", 1)])
def test_trains_resumes_and_scores(base: SnwConfig, mode: Any, stage: Any, tmp_path: Path) -> None:
    section = dataclasses.replace(
        base.train, encoder_mode=mode, zero_stage=stage, max_steps=4, save_every=2, encoder_learning_rate_ratio=0.5
    )
    config = dataclasses.replace(base, run=dataclasses.replace(base.run, name=f"{mode}{stage}"), train=section)

    def train() -> bytes:
        for rank in run_ranks(TRAINING, 2, config_to_dict(config), tmp_path, timeout_s=200):
            assert rank.returncode == 0, rank.log
        return (config.run_folder / "export" / "model.safetensors").read_bytes()

    weights, whole = train(), losses(config)
    assert whole[0] == pytest.approx(losses(base)[0], rel=1e-5)
    last = committed_checkpoints(config.run_folder / "checkpoints")[-1]
    (last / "manifest.json").unlink()  # the folder does not exist any more
    assert train() == weights
    assert losses(config) == whole
    model, description = read_export(config.run_folder / "export")
    _has_moved(model, lora=mode == "lora")
    best = verify_checkpoint(config.run_folder / "checkpoints" / checkpoint_name(description["step"]))
    again = weights_of(best, network_of(config, StoreReader(config.store_path).header)[0], section.precision)
    assert again.keys() == model.state_dict().keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    prepared = ensure_prepared(config)
    scores, spoilt, *_ = score_run(config, prepared, ["noise", "shuffled_ligand"])
    assert list(spoilt) == ["shuffled_ligand"]
    held_out = prepared.pairs[prepared.pairs["split"] != "train"]
    val = (held_out["split"] == "val").to_numpy()
    auroc = roc_auc_score(held_out["positive"].to_numpy()[val], scores[val])
    assert auroc == pytest.approx(description["validation"]["auroc"], abs=2e-4)
    assert np.isfinite(scores).all()


def test_a_frozen_encoder_has_no_learning_rate(base: SnwConfig, tmp_path: Path) -> None:
    """The part of some networks that is called `encoder` as well is trained like the rest."""
    model = dataclasses.replace(base.model, name="cross_attention")
    weights = []
    for ratio in (0.1, 1.0):
        config = dataclasses.replace(
            base,
            run=dataclasses.replace(base.run, name=f"ratio-{ratio}"),
            model=model,
            train=dataclasses.replace(base.train, encoder_learning_rate_ratio=ratio),
        )
        [rank] = run_ranks(TRAINING, 1, config_to_dict(config), tmp_path / str(ratio), timeout_s=200)
        assert rank.returncode == 0, rank.log
        model_at_end, _ = read_export(config.run_folder / "export")
        weights.append(model_at_end.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_other_weights_are_refused_before_a_job_is_submitted(base: SnwConfig, tmp_path: Path) -> None:
    torch.save(esm_model(tiny_random_weights(WIDTH, 1, INNER)).state_dict(), tmp_path / "other.pth")
    config = dataclasses.replace(
        base,
        run=dataclasses.replace(base.run, name="other"),
        encoder=dataclasses.replace(base.encoder, name="esmc", weights=str(tmp_path / "other.pth")),
        train=dataclasses.replace(base.train, encoder_mode="lora"),
    )
    with pytest.raises(InputError, match=r"other\.pth.* did not make the store .*Name the same one"):
        check_training(config)
    same = dataclasses.replace(config, encoder=base.encoder)
    check_training(same)


def test_what_the_encoder_was_not_trained_on_is_refused_or_cropped(base: SnwConfig) -> None:
    reader = StoreReader(base.store_path)
    reader.lengths = np.array([8, 2_047])
    with pytest.raises(InputError, match=r"2,047 residues, .* trained on 2,046\. Set model\.max_length"):
        check_lengths(reader, 2_048)
    check_lengths(reader, 2_046)


def _has_moved(model: torch.nn.Module, lora: bool) -> None:
    assert isinstance(model, Encoded)
    at_first = tiny_random_weights().weights
    for block, layer in zip(model.encoder.blocks, at_first.layers, strict=True):
        assert torch.equal(block.qkv, layer.qkv) == lora
        assert torch.equal(block.gate_up, layer.gate_up) == lora
        assert not lora or all(update.up.any() for update in block.updates.values())
