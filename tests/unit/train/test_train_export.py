"""The exported network: what goes in comes out, and what is damaged is refused."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from train_tools import WIDTH, stored

from hpc.errors import CorruptError, InputError, SnwError
from snw_dist.config import ModelName, ModelSection
from snw_dist.embedding.store import StoreHeader
from snw_dist.model.build import build_model
from snw_dist.train.export import check_same_encoder, read_export, write_export

SECTION = ModelSection(
    name="siamese", d_model=16, num_heads=2, num_conv_layers=1, num_transformer_layers=1, num_pooling_queries=2,
    embedding_size=8, margin=1.5, max_length=77,
)  # fmt: skip


@pytest.fixture
def header(tmp_path: Path) -> StoreHeader:
    return stored(tmp_path / "store.zarr", ["ACD", "EFG"]).header


def export(folder: Path, header: StoreHeader, seed: int = 5) -> nn.Module:
    model = build_model(SECTION, WIDTH, seed)
    facts = {"step": 12, "validation": {"auroc": 0.75}, "provenance": {"num_ranks": 2}}
    write_export(folder, dict(model.named_parameters()), SECTION, header, facts)
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
    assert json.loads((tmp_path / "export" / "config.json").read_text()) == description
    assert sorted(f.name for f in (tmp_path / "export").iterdir()) == ["config.json", "model.safetensors"]


@pytest.mark.parametrize("name", get_args(ModelName))
def test_every_network_comes_back_with_the_size_it_had(tmp_path: Path, header: StoreHeader, name: ModelName) -> None:
    section = ModelSection(name=name, size="light", num_heads=2)
    written = build_model(section, WIDTH, 3)
    write_export(tmp_path, dict(written.named_parameters()), section, header, {})
    model, description = read_export(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), written.parameters(), strict=True))
    assert (description["model"]["d_model"], description["model"]["num_heads"]) == (64, 2)


def test_a_better_network_replaces_the_old_one(tmp_path: Path, header: StoreHeader) -> None:
    export(tmp_path / "export", header, seed=5)
    better = export(tmp_path / "export", header, seed=6)
    model, _ = read_export(tmp_path / "export")
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), better.parameters(), strict=True))


def test_there_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no trained model.*launch/train\.py") as caught:
        read_export(tmp_path)
    assert caught.value.exit_code == 2


def test_a_truncated_export(tmp_path: Path, header: StoreHeader) -> None:
    export(tmp_path, header)
    file = tmp_path / "model.safetensors"
    good = file.read_bytes()
    for size in (0, 3, 8, 100, len(good) // 2, len(good) - 1):
        file.write_bytes(good[:size])
        with pytest.raises(CorruptError, match=r"model\.safetensors: not an export") as caught:
            read_export(tmp_path)
        assert caught.value.exit_code == 3


def test_a_flip_in_the_header_is_never_a_traceback(tmp_path: Path, header: StoreHeader) -> None:
    export(tmp_path, header)
    file = tmp_path / "model.safetensors"
    good = file.read_bytes()
    size = 8 + int.from_bytes(good[:8], "little")
    generator = random.Random(0)
    messages = []
    for _ in range(150):
        data = bytearray(good)
        bit = generator.randrange(8 * size)
        data[bit // 8] ^= 1 << bit % 8
        file.write_bytes(data)
        try:
            read_export(tmp_path)
        except SnwError as error:
            messages.append(str(error))
    assert all(str(file) in text for text in messages)
    assert len(messages) > 75  # the others are in words and figures that nothing depends on


@pytest.mark.parametrize("description", [None, "", "[]", "{}", '{"model": 3}', '{"model": {}, "d_input": "x"}'])
def test_a_file_of_another_program(tmp_path: Path, description: str | None) -> None:
    metadata = None if description is None else {"description": description}
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors", metadata)
    with pytest.raises(SnwError, match=r"model\.safetensors"):
        read_export(tmp_path)


def test_weights_of_another_shape(tmp_path: Path, header: StoreHeader) -> None:
    weights = dict(build_model(SECTION, WIDTH + 1, 0).named_parameters())
    write_export(tmp_path, weights, SECTION, header, {})
    with pytest.raises(CorruptError, match="not an export"):
        read_export(tmp_path)


def test_embeddings_of_another_encoder_are_refused(tmp_path: Path, header: StoreHeader) -> None:
    export(tmp_path, header)
    _, description = read_export(tmp_path)
    check_same_encoder(description, header, tmp_path / "store.zarr")
    encoder = {**header.encoder, "weights_sha256": "cd" * 32, "description": "another one"}
    other = dataclasses.replace(header, encoder=encoder)
    with pytest.raises(InputError, match=r"another one \(cdcdcdcdcdcd\).*the test's own \(abababababab\)"):
        check_same_encoder(description, other, tmp_path / "store.zarr")
