"""The exported network: what goes in comes out. What becomes of damage is in `test_export_damage`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from hpc.disk.files import file_digest
from hpc.errors import InputError
from snw_dist.config import ModelName, ModelSection
from snw_dist.embedding.store.group import StoreHeader
from snw_dist.model.build import build_model
from snw_dist.predict.export import check_same_encoder, read_export, write_export
from tests.kit.train_tools import WIDTH, stored

SECTION = ModelSection(
    name="siamese", d_model=16, num_heads=2, num_conv_layers=1, num_transformer_layers=1, num_pooling_queries=2,
    embedding_size=8, margin=1.5, max_length=77,
)  # fmt: skip

FACTS = {"step": 12, "validation": {"auroc": 0.75}, "provenance": {"num_ranks": 2}}


@pytest.fixture
def header(tmp_path: Path) -> StoreHeader:
    return stored(tmp_path / "store.zarr", ["ACD", "EFG"]).header


def export(folder: Path, header: StoreHeader, seed: int = 5) -> nn.Module:
    model = build_model(SECTION, WIDTH, seed)
    write_export(folder, dict(model.named_parameters()), SECTION, header, FACTS)
    return model.eval()


def test_round_trip(tmp_path: Path, header: StoreHeader) -> None:
    written = export(tmp_path / "export", header)
    before = torch.get_rng_state()
    model, description = read_export(tmp_path / "export")
    assert torch.equal(before, torch.get_rng_state())
    assert not model.training
    assert model.state_dict().keys() == written.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), written.parameters(), strict=True))
    assert ModelSection(**description["model"]) == SECTION
    assert description["d_input"] == WIDTH
    assert description["encoder"] == dict(header.encoder)
    assert (description["step"], description["validation"]) == (12, {"auroc": 0.75})
    file = tmp_path / "export" / "model.safetensors"
    assert description["weights_sha256"] == file_digest(file)
    manifest = json.loads((tmp_path / "export" / "manifest.json").read_text())
    assert manifest["description"] | {"weights_sha256": file_digest(file)} == description
    assert manifest["files"] == {file.name: {"bytes": file.stat().st_size, "sha256": file_digest(file)}}
    assert sorted(f.name for f in (tmp_path / "export").iterdir()) == ["manifest.json", "model.safetensors"]


def test_what_the_run_says_more_is_given_back(tmp_path: Path, header: StoreHeader) -> None:
    model = build_model(SECTION, WIDTH, 5)
    more = {"data_digest": "ab" * 32, "trained_on": ["ab" * 32]}
    write_export(tmp_path / "export", dict(model.named_parameters()), SECTION, header, FACTS | more)
    assert read_export(tmp_path / "export")[1].items() >= more.items()


def test_same_weights_same_bytes(tmp_path: Path, header: StoreHeader) -> None:
    for name in ("a", "b"):
        export(tmp_path / name, header)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("name", get_args(ModelName))
def test_every_network_comes_back_with_the_size_it_had(tmp_path: Path, header: StoreHeader, name: ModelName) -> None:
    section = ModelSection(name=name, size="light", num_heads=2)
    written = build_model(section, WIDTH, 3)
    write_export(tmp_path / "export", dict(written.named_parameters()), section, header, FACTS)
    model, description = read_export(tmp_path / "export")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), written.parameters(), strict=True))
    assert (description["model"]["d_model"], description["model"]["num_heads"]) == (64, 2)


def test_a_better_network_replaces_the_old_one(tmp_path: Path, header: StoreHeader) -> None:
    export(tmp_path / "export", header, seed=5)
    better = export(tmp_path / "export", header, seed=6)
    model, _ = read_export(tmp_path / "export")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), better.parameters(), strict=True))


def test_there_is_no_export(tmp_path: Path) -> None:
    for folder in (tmp_path / "export", tmp_path):  # one without anything in it is none
        with pytest.raises(InputError, match=r"there is no trained model.*snw-dist train") as caught:
            read_export(folder)
        assert caught.value.exit_code == 2


def test_embeddings_of_another_encoder_are_refused(tmp_path: Path, header: StoreHeader) -> None:
    export(tmp_path / "export", header)
    _, description = read_export(tmp_path / "export")
    check_same_encoder(description, header, tmp_path / "store.zarr")
    encoder = {**header.encoder, "weights_sha256": "cd" * 32, "description": "another one"}
    other = dataclasses.replace(header, encoder=encoder)
    with pytest.raises(InputError, match=r"another one \(cdcdcdcdcdcd\).*the test's own \(abababababab\)"):
        check_same_encoder(description, other, tmp_path / "store.zarr")
