"""Weights that are missing, damaged or hostile; the parity test holds the good ones."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from hpc.errors import CorruptError, EnvironmentProblem, ExitCode, InputError, SnwError
from snw_dist.embedding.encoder import build_encoder, load_encoder_weights
from snw_dist.embedding.weights.files import weight_files
from snw_dist.embedding.weights.read import load_weights, read_shape, tiny_random_weights, weights_digest

State = dict[str, torch.Tensor]
WIDTH, INNER, LAYERS = 64, 96, 2
ACROSS = {"q_proj": (WIDTH, WIDTH), "k_proj": (WIDTH, WIDTH), "v_proj": (WIDTH, WIDTH), "o_proj": (WIDTH, WIDTH)}


def pth_state() -> State:
    shapes: dict[str, tuple[int, ...]] = {"embed.weight": (64, WIDTH), "transformer.norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        block = f"transformer.blocks.{i}"
        shapes |= {
            f"{block}.attn.layernorm_qkv.0.weight": (WIDTH,),
            f"{block}.attn.layernorm_qkv.0.bias": (WIDTH,),
            f"{block}.attn.layernorm_qkv.1.weight": (3 * WIDTH, WIDTH),
            f"{block}.attn.q_ln.weight": (WIDTH,),
            f"{block}.attn.k_ln.weight": (WIDTH,),
            f"{block}.attn.out_proj.weight": (WIDTH, WIDTH),
            f"{block}.ffn.0.weight": (WIDTH,),
            f"{block}.ffn.0.bias": (WIDTH,),
            f"{block}.ffn.1.weight": (2 * INNER, WIDTH),
            f"{block}.ffn.3.weight": (WIDTH, INNER),
        }
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def folder_state() -> State:
    shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (64, WIDTH), "norm.weight": (WIDTH,)}
    for i in range(LAYERS):
        block = f"layers.{i}"
        shapes |= {f"{block}.self_attn.{name}.weight": shape for name, shape in ACROSS.items()}
        shapes |= {
            f"{block}.self_attn.q_norm.weight": (WIDTH,),
            f"{block}.self_attn.k_norm.weight": (WIDTH,),
            f"{block}.input_layernorm.weight": (WIDTH,),
            f"{block}.input_layernorm.bias": (WIDTH,),
            f"{block}.post_attention_layernorm.weight": (WIDTH,),
            f"{block}.post_attention_layernorm.bias": (WIDTH,),
            f"{block}.mlp.gate_proj.weight": (INNER, WIDTH),
            f"{block}.mlp.up_proj.weight": (INNER, WIDTH),
            f"{block}.mlp.down_proj.weight": (WIDTH, INNER),
        }
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def write_pth(folder: Path, state: Any) -> Path:
    torch.save(state, folder / "weights.pth")
    return folder / "weights.pth"


def write_folder(folder: Path, state: State, **config: Any) -> Path:
    facts = {"model_type": "esmc", "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 1}
    (folder / "config.json").write_text(json.dumps(facts | config))
    save_file(state, folder / "model.safetensors")
    return folder


FORMATS = pytest.mark.parametrize(
    ("state", "write"), [(pth_state, write_pth), (folder_state, write_folder)], ids=["pth", "folder"]
)
Write = Callable[[Path, State], Path]


def refused(path: Path | str, code: ExitCode, *words: str) -> None:
    """By the check on the login node, which reads no tensor, and by the job."""
    for read in (lambda: read_shape(str(path), None), lambda: load_weights(str(path))):
        with pytest.raises(SnwError) as caught:
            read()
        assert caught.value.exit_code == code, caught.value
        for word in words:
            assert word in str(caught.value)


@FORMATS
def test_the_small_files_of_these_tests_are_good(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    path = write(tmp_path, state())
    loaded = load_weights(str(path))
    assert (loaded.weights.d_model, len(loaded.weights.layers)) == (WIDTH, LAYERS)
    file = path if path.is_file() else path / "model.safetensors"
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert load_weights(str(path), expected_sha256=loaded.sha256).sha256 == loaded.sha256
    assert load_weights(str(path), revision="abc").source.endswith("@abc")


@FORMATS
def test_each_missing_tensor_is_named(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    for name in state():
        short = {key: value for key, value in state().items() if key != name}
        refused(write(tmp_path, short), ExitCode.CORRUPT, str(tmp_path), name)


@FORMATS
def test_an_extra_tensor_is_named(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    path = write(tmp_path, state() | {"adapter.weight": torch.zeros(3)})
    refused(path, ExitCode.BAD_INPUT, "adapter.weight", ".pth file", "transformers folder", "hub id")


@FORMATS
def test_a_head_is_not_an_extra_tensor(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    load_weights(str(write(tmp_path, state() | {"lm_head.dense.weight": torch.zeros(3)})))


@FORMATS
def test_each_wrong_shape_is_refused(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    for name, tensor in state().items():
        longer = torch.cat([tensor, tensor[:1]])
        refused(write(tmp_path, state() | {name: longer}), ExitCode.BAD_INPUT, "shape")
    refused(write(tmp_path, {}), ExitCode.BAD_INPUT, "nothing")


@FORMATS
def test_a_truncated_file_is_refused(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    path = write(tmp_path, state())
    file = path if path.is_file() else path / "model.safetensors"
    whole = file.read_bytes()
    for size in (0, 1, 7, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        refused(path, ExitCode.CORRUPT, str(file))


@FORMATS
def test_another_sha256_is_refused(tmp_path: Path, state: Callable[[], State], write: Write) -> None:
    path = write(tmp_path, state())
    file = path if path.is_file() else path / "model.safetensors"
    known = weights_digest(weight_files(path))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptError, match=f"asks for {known}") as caught:
        load_weights(str(path), expected_sha256=known)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("content", ["", "[1]", "{", "null", '{"a": ' * 50_000, '{"hidden_size": 1, "hidden_size": 2}'])
def test_a_broken_config_json(tmp_path: Path, content: str) -> None:
    write_folder(tmp_path, folder_state())
    (tmp_path / "config.json").write_text(content)
    refused(tmp_path, ExitCode.CORRUPT, "config.json")


def test_a_folder_without_config_json(tmp_path: Path) -> None:
    write_folder(tmp_path, folder_state())
    (tmp_path / "config.json").unlink()
    refused(tmp_path, ExitCode.BAD_INPUT, "without config.json")


def test_a_folder_of_another_model(tmp_path: Path) -> None:
    refused(write_folder(tmp_path, folder_state(), model_type="esm"), ExitCode.BAD_INPUT, "'esm', not 'esmc'")


@pytest.mark.parametrize("key", ["hidden_size", "num_hidden_layers", "num_attention_heads"])
def test_a_config_that_does_not_fit_its_tensors(tmp_path: Path, key: str) -> None:
    refused(write_folder(tmp_path, folder_state(), **{key: 7}), ExitCode.BAD_INPUT, f"{key} is 7, but the tensors say")


def test_a_last_block_that_is_missing_is_seen_in_the_config(tmp_path: Path) -> None:
    short = {name: tensor for name, tensor in folder_state().items() if not name.startswith("layers.1.")}
    refused(write_folder(tmp_path, short), ExitCode.BAD_INPUT, "num_hidden_layers is 2, but the tensors say 1")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}', "[" * 50_000),
        *('{"weight_map": {"a": "../model.safetensors"}}', '{"weight_map": {"a": "/etc/passwd"}}'),
    ],
)
def test_a_broken_index_of_several_files(tmp_path: Path, content: str) -> None:
    write_folder(tmp_path, folder_state())
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00001.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(content)
    refused(tmp_path, ExitCode.CORRUPT, "model.safetensors.index.json")


def test_weights_that_never_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights.pth")
    for path in (tmp_path / "weights.pth", Path("/dev/zero")):
        refused(path, ExitCode.BAD_INPUT, "neither a regular file nor a folder")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors.index.json"])
def test_a_pipe_in_the_place_of_a_file(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, folder_state())
    (tmp_path / ("model.safetensors" if "index" in name else name)).unlink()
    os.mkfifo(tmp_path / name)
    refused(tmp_path, ExitCode.CORRUPT, name, "not a regular file")


def test_one_of_several_files_is_missing(tmp_path: Path) -> None:
    write_folder(tmp_path, folder_state())
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(tmp_path, ExitCode.BAD_INPUT, "no model-00002-of-00002.safetensors in this folder")


@pytest.mark.parametrize(
    "name", ["/nowhere/esmc", "./esmc", "esmc.pth", "a/b/c", "esmc", "a/esmc.pt", "a/model.safetensors"]
)
def test_a_path_that_is_not_there_says_what_to_give(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(name, ExitCode.BAD_INPUT, name, "no such file or folder", ".pth file", "transformers folder", "hub id")


def test_a_hub_id_without_network_is_an_error_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what the variable of this name sets at import
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    started = time.monotonic()
    with pytest.raises(EnvironmentProblem, match=r"biohub/ESMC-300M .*hf download.*HF_HOME") as caught:
        load_weights("biohub/ESMC-300M")
    assert caught.value.exit_code == 4
    assert time.monotonic() - started < 10


class Attack:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.mark),)


def test_code_in_a_pth_does_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "was-here"
    for state in (pth_state() | {"x": Attack(mark)}, Attack(mark)):
        path = write_pth(tmp_path, state)
        refused(path, ExitCode.BAD_INPUT, str(path), "mkdir")
        assert not mark.exists()
    torch.save(pth_state() | {"x": Attack(mark)}, path, _use_new_zipfile_serialization=False)
    refused(path, ExitCode.BAD_INPUT, str(path))
    path.write_bytes(pickle.dumps(Attack(mark)))
    refused(path, ExitCode.BAD_INPUT, str(path))
    assert not mark.exists()
    pickle.loads(pickle.dumps(Attack(mark)))
    assert mark.exists()  # the attack is real


@pytest.mark.parametrize("state", [3, [torch.zeros(2)], {"embed.weight": 3}, {3: torch.zeros(2)}], ids=str)
def test_a_pth_with_something_else(tmp_path: Path, state: Any) -> None:
    refused(write_pth(tmp_path, state), ExitCode.BAD_INPUT, "not a state dict of the esm package", ".pth file")


def test_the_small_random_encoder_is_the_same_everywhere() -> None:
    """The golden value is the promise: the demonstration's encoder on every machine and with every version."""
    loaded = tiny_random_weights()
    assert loaded.sha256 == GOLDEN
    assert tiny_random_weights(seed=1).sha256 != GOLDEN
    assert loaded.source == "random, seed 0"
    values = [t for layer in loaded.weights.layers for t in vars(layer).values()]
    assert all(torch.isfinite(tensor).all() for tensor in values)


GOLDEN = "c3958be15a46339c42bf2e2dce975ec9fa9e73d452c0b32f41de6effa8bb5437"


def test_names_and_weights_that_contradict_each_other() -> None:
    with pytest.raises(InputError, match=r"set encoder\.name to 'esmc'"):
        load_encoder_weights("esmc-tiny-random", "x.pth", None, None)
    with pytest.raises(InputError, match=r"encoder\.weights is not given"):
        load_encoder_weights("esmc", None, None, None)


def test_a_result_of_random_weights_says_so() -> None:
    loaded = load_encoder_weights("esmc-tiny-random", None, None, None)
    encoder = build_encoder("esmc-tiny-random", loaded, torch.device("cpu"), "auto", [-1], "concat", 100)
    assert encoder.facts["description"] == "ESM C, 2 layers of 128, RANDOM weights (demonstration)"
    with pytest.raises(InputError, match=r"encoder\.layer: layer 5 does not exist"):
        build_encoder("esmc-tiny-random", loaded, torch.device("cpu"), "fp32", [5], "concat", 100)
