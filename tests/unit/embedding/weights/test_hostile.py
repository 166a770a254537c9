"""Weights that are damaged or made to do damage: each is read, or refused in one line; the memory is bounded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import EsmcConfig
from transformers.models.esmc.modeling_esmc import EsmcRotaryEmbedding

from hpc.errors import SnwError
from snw_dist.embedding.esmc.plain import inverse_frequencies
from snw_dist.embedding.weights.read import load_weights, read_shape
from tests.kit.harm import EXAMPLES, little_memory, mutated
from tests.kit.weights_tools import esm_model, folder_model

pytestmark = pytest.mark.timeout(60 + EXAMPLES)
BOUNDED = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FORMS = ["config.json", "model.safetensors", "zip.pth", "old.pth"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same encoder in a folder and in both serialisations of torch."""
    folder = tmp_path_factory.mktemp("whole")
    folder_model().save_pretrained(folder / "folder")
    state = esm_model().state_dict()
    torch.save(state, folder / "zip.pth")
    torch.save({"state_dict": state, "epoch": 3}, folder / "old.pth", _use_new_zipfile_serialization=False)
    return folder


def read_or_refused(path: Path) -> bool:
    """Whether both the check on the login node and the job take it; a refusal is one line that names it."""
    problems = []
    for read in (lambda: read_shape(str(path), None), lambda: load_weights(str(path))):
        try:
            with little_memory():
                read()
        except SnwError as error:
            problems.append(error)
    for error in problems:
        text = str(error)
        assert error.exit_code in (2, 3)
        assert str(path.parent) in text
        assert "\n" not in text
        assert len(text) < 2000
    return not problems


@pytest.mark.parametrize("form", FORMS)
@BOUNDED
@given(
    places=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=9), st.integers(0, 9)), min_size=1, max_size=9),
    near=st.booleans(),
)
def test_bytes_are_changed(whole: Path, tmp_path: Path, form: str, places: list[Any], near: bool) -> None:
    """`near`: at the beginning, where the names and shapes are, and not among the numbers."""
    shutil.copytree(whole, tmp_path / "w", dirs_exist_ok=True)
    file = tmp_path / "w" / (form if form.endswith(".pth") else f"folder/{form}")
    data = bytearray(file.read_bytes())
    for place, new, removed in places:
        start = int(place * (min(len(data), 4000) if near else len(data)))
        data[start : start + removed] = new
    file.write_bytes(data)
    read_or_refused(file if form.endswith(".pth") else file.parent)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@BOUNDED
@given(data=st.data())
def test_settings_and_headers_are_changed(whole: Path, tmp_path: Path, name: str, data: st.DataObject) -> None:
    shutil.copytree(whole / "folder", tmp_path / "w", dirs_exist_ok=True)
    file = tmp_path / "w" / name
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little") if name == "model.safetensors" else 0
    before = json.loads(content[8 : 8 + size] if size else content)
    after = json.dumps(data.draw(mutated(before))).encode("utf-8", "surrogatepass")
    file.write_bytes(len(after).to_bytes(8, "little") + after + content[8 + size :] if size else after)
    if read_or_refused(file.parent) and not size:
        computes_our_esmc(file.parent)


def computes_our_esmc(folder: Path) -> None:
    """What we take of a config.json has for transformers, where that takes it too, the meaning that we assume."""
    try:
        config = EsmcConfig.from_pretrained(folder)
        rotary = EsmcRotaryEmbedding(config)
    except Exception:  # noqa: BLE001 - it checks types of settings that change nothing, and raises what comes
        return
    assert torch.equal(rotary.inv_freq, inverse_frequencies(torch.device("cpu")))
    assert rotary.attention_scaling == 1
    assert config.hidden_act in ("silu", "swish")
    assert (config.head_dim, config.vocab_size, config.attention_bias, config.mlp_bias) == (64, 64, False, False)
    assert not hasattr(config, "quantization_config") or config.quantization_config is None


SELDOM: dict[str, Callable[[], Any]] = {
    "text": lambda: "x" * 10**6,
    "deep": lambda: {"model": {"model": {"model": {"model": {"model": {}}}}}},
    "names": lambda: {"x\n" * 10**5: torch.zeros(1)},
    "many": lambda: {str(i): torch.zeros(1) for i in range(10**3)},
    "no numbers": lambda: {f"transformer.blocks.{i}.attn.q_ln.weight": torch.zeros(0) for i in (0, 10**18)},
}


@pytest.mark.parametrize("form", SELDOM)
def test_what_nobody_would_save(tmp_path: Path, form: str) -> None:
    torch.save(SELDOM[form](), tmp_path / "a.pth")
    with pytest.raises(SnwError):
        read_shape(str(tmp_path / "a.pth"), None)
    read_or_refused(tmp_path / "a.pth")
