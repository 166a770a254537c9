"""Which files `encoder.weights` means: those that the public packages take, found before a job is submitted."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from hpc.errors import InputError
from snw_dist.config import config_from_dict
from snw_dist.data.ensure import ensure_prepared
from snw_dist.embedding.esmc.packed import PackedEsmc
from snw_dist.embedding.estimate import check_embedding
from snw_dist.embedding.weights.read import load_weights, read_shape
from snw_dist.embedding.weights.reference import check_parity
from tests.kit.weights_tools import (
    CPU,
    FORMS,
    LAYERS,
    SEQUENCES,
    WIDTH,
    State,
    assert_same,
    change_config,
    esm_rows,
    folder_model,
    refused,
    rows_of,
    transformers_rows,
)


def test_one_file_before_an_index_as_transformers_takes_them(tmp_path: Path) -> None:
    folder_model(seed=1).save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    assert_same(rows_of(tmp_path), transformers_rows(tmp_path))
    before = transformers_rows(tmp_path)
    folder_model(seed=2).save_pretrained(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path)
    assert (transformers_rows(tmp_path) - before).abs().max() > 0.1
    assert_same(rows_of(tmp_path), transformers_rows(tmp_path))
    loaded = load_weights(str(tmp_path))
    check_parity(PackedEsmc(loaded.weights, CPU, torch.float32), loaded, SEQUENCES)
    for shard in tmp_path.glob("model-*.safetensors"):
        shard.unlink()
    assert_same(rows_of(tmp_path), transformers_rows(tmp_path))
    for index in ("{", json.dumps({"weight_map": {"a": "../b"}})):
        (tmp_path / "model.safetensors.index.json").write_text(index)
        assert_same(rows_of(tmp_path), transformers_rows(tmp_path))


def test_a_folder_with_a_pickle_of_its_tensors(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "moved")
    assert_same(rows_of(folder), transformers_rows(folder))


def test_a_tensor_in_two_files(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    save_file(state, folder / names[0])
    save_file({"esmc.norm.weight": torch.zeros(WIDTH)}, folder / names[1])
    index = {"weight_map": dict.fromkeys(state, names[0]) | {"esmc.norm.weight": names[1]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "esmc.norm.weight is also in another file")


@pytest.mark.parametrize("length", [0x3C20, 0x8B1F, 0x4B50, 0x3C80])
def test_a_length_that_looks_like_the_start_of_another_file(folder: Path, length: int) -> None:
    """safetensors begins with the length of its header: any bytes, those of a web page or of gzip among them."""
    file = folder / "model.safetensors"
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    file.write_bytes(length.to_bytes(8, "little") + data[8 : 8 + size].ljust(length) + data[8 + size :])
    assert_same(rows_of(folder), transformers_rows(folder))


def test_what_may_not_be_looked_into(tmp_path: Path) -> None:
    refused("/" + "x" * 5000, "cannot be read (File name too long)")


def test_a_shard_that_is_missing(tmp_path: Path) -> None:
    folder_model().save_pretrained(tmp_path, max_shard_size="100KB")
    sorted(tmp_path.glob("model-*.safetensors"))[1].unlink()
    refused(tmp_path, "no model-00002-of-", "its index names")


def test_the_hubs_6b_of_2024(tmp_path: Path, folder: Path, state: State, model: Any) -> None:
    """The names of the esm package with `esmc.` in front and `lm_head`, in shards with an index."""
    names = {name: name.replace("sequence_head", "lm_head") for name in state if "inv_freq" not in name}
    whole = {new if new.startswith("lm_head") else f"esmc.{new}": state[name] for name, new in names.items()}
    keys, mapped = list(whole), {}
    for number, part in enumerate((keys[:9], keys[9:]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({key: whole[key] for key in part}, tmp_path / file)
        mapped |= dict.fromkeys(part, file)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": mapped}))
    shutil.copy(folder / "config.json", tmp_path)
    assert_same(rows_of(change_config(tmp_path, intermediate_size=7)), esm_rows(model))
    loaded = load_weights(str(tmp_path))
    assert check_parity(PackedEsmc(loaded.weights, CPU, torch.float32), loaded, SEQUENCES).against_reference < 1e-5
    refused(change_config(tmp_path, d_model=WIDTH, n_layers=LAYERS, n_heads=4), "n_heads is 4")


@pytest.mark.parametrize("config", [None, "{}"])
def test_the_hubs_folder_of_2024(tmp_path: Path, state: State, model: Any, config: str | None) -> None:
    inside = tmp_path / "data" / "weights"
    inside.mkdir(parents=True)
    torch.save(state, inside / "esmc_300m_2024_12_v0.pth")
    (tmp_path / "README.md").write_text("x")
    if config:
        (tmp_path / "config.json").write_text(config)
    assert_same(rows_of(tmp_path), esm_rows(model))
    assert load_weights(str(tmp_path)).sha256 == load_weights(str(inside / "esmc_300m_2024_12_v0.pth")).sha256
    torch.save(state, inside / "other.pth")
    refused(tmp_path, "several files", "esmc_300m_2024_12_v0.pth", "other.pth", FORMS)


@pytest.mark.parametrize("inside", [True, False])
def test_a_hub_id_of_2024(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State, model: Any, inside: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cache = tmp_path / "models--EvolutionaryScale--esmc-300m-2024-12"
    snapshot = cache / "snapshots" / ("a" * 40)
    (snapshot / "data" / "weights").mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    (snapshot / "README.md").write_text("x")
    name = "EvolutionaryScale/esmc-300m-2024-12"
    if inside:
        torch.save(state, snapshot / "data" / "weights" / "esmc_300m_2024_12_v0.pth")
        assert_same(rows_of(Path(name)), esm_rows(model))
    else:
        refused(name, "it holds README.md", FORMS)


def test_the_other_patterns_are_fetched_only_where_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path, state: State
) -> None:
    asked: list[list[str]] = []
    found = folder

    def download(name: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(found)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    read_shape("biohub/ESMC-300M", None)
    assert [pattern for patterns in asked for pattern in patterns] == ["*.json", "*.safetensors"]
    found = tmp_path / "old"
    found.mkdir()
    torch.save(state, found / "a.pth")
    read_shape("biohub/esmc-300m-2024-12", None)
    assert "*.pth" in asked[-1]


def empty(path: Path) -> Path:
    return path


def only_a_file(path: Path) -> Path:
    (path / "readme").write_text("x")
    return path


def an_adapter(path: Path) -> Path:
    folder_model().save_pretrained(path)
    (path / "adapter_config.json").write_text("{}")
    return path


def without_config(path: Path) -> Path:
    folder_model().save_pretrained(path)
    (path / "config.json").unlink()
    return path


def one_file_of_a_folder(path: Path) -> Path:
    folder_model().save_pretrained(path)
    return path / "model.safetensors"


def its_description(path: Path) -> Path:
    folder_model().save_pretrained(path)
    return path / "config.json"


def with_a_pointer(path: Path) -> Path:
    folder_model().save_pretrained(path)
    (path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n")
    return path


def pointer_alone(path: Path) -> Path:
    (path / "esmc.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n")
    return path


def a_web_page(path: Path) -> Path:
    (path / "esmc.pth").write_text("\n<!DOCTYPE html><html>401</html>")
    return path / "esmc.pth"


def packed(path: Path) -> Path:
    (path / "esmc.pth").write_bytes(gzip.compress(b"x" * 1000))
    return path / "esmc.pth"


def a_table(path: Path) -> Path:
    (path / "esmc.pth").write_text("id,sequence\n" * 10)
    return path / "esmc.pth"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (empty, ["it is empty", FORMS]),
        (only_a_file, ["it holds readme", FORMS]),
        (an_adapter, ["adapter_config.json", "merge_and_unload"]),
        (without_config, ["without config.json", FORMS]),
        (one_file_of_a_folder, ["give the folder"]),
        (its_description, ["give its folder"]),
        (with_a_pointer, ["git LFS", "git lfs pull"]),
        (pointer_alone, ["git LFS", "git lfs pull"]),
        (a_web_page, ["a web page"]),
        (packed, ["gzip"]),
        (a_table, ["neither safetensors nor", FORMS]),
    ],
)
def test_what_is_not_weights_is_named(tmp_path: Path, make: Callable[[Path], Path], words: list[str]) -> None:
    refused(make(tmp_path), str(tmp_path), *words)


def test_the_login_node_reads_names_and_no_tensor(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ligands.fasta").write_text(">l\nACDE\n>m\nACD\n")
    (tmp_path / "receptors.fasta").write_text(">r\nMKTAYIAK\n>r2\nMKTAY\n>r3\nGAYIAK\n")
    (tmp_path / "pairs.csv").write_text(
        "ligand_id,receptor_id,label,split\nl,r,1,train\nm,r,0,train\nl,r2,1,val\nm,r2,0,val\nl,r3,0,test\n"
    )
    data = {name: str(tmp_path / file) for name, file in INPUTS.items()}
    values = {
        "run": {"name": "r", "folder": str(tmp_path / "runs")},
        "data": data | {"folder": str(tmp_path / "data"), "split": {"method": "column", "clusters": "identical"}},
        "encoder": {"name": "esmc", "weights": str(folder)},
        "store": {"path": str(tmp_path / "store")},
    }
    config = config_from_dict(values)
    prepared = ensure_prepared(config)
    monkeypatch.setattr("snw_dist.embedding.weights.read._Stored.weights", None)
    monkeypatch.setattr("snw_dist.embedding.weights.read.file_digest", None)
    assert f"{WIDTH} float16" in str(check_embedding(config, prepared, append=False))
    values["encoder"]["layer"] = [3]
    with pytest.raises(InputError, match=r"encoder\.layer: layer 3 does not exist"):
        check_embedding(config_from_dict(values), prepared, append=False)
    values["encoder"]["layer"] = [-1]
    with_a_pointer(folder)
    with pytest.raises(InputError, match="git LFS"):
        check_embedding(config_from_dict(values), prepared, append=False)


INPUTS = {"ligands": "ligands.fasta", "receptors": "receptors.fasta", "pairs": "pairs.csv"}
