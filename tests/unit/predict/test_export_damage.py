"""An export that is damaged, or made to do harm: exit 3 with one line, no traceback."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from hpc.disk.sealed import sealed
from hpc.errors import CorruptError, SnwError
from snw_dist.embedding.store.header import StoreHeader
from snw_dist.model.build import build_model
from snw_dist.predict.export import read_export, write_export
from snw_dist.predict.manifest import MANIFEST, WEIGHTS
from tests.kit.export_tools import FACTS, REPEATS, SECTION, written
from tests.kit.train_tools import WIDTH


def refusal(folder: Path, most_bytes: float = 30e6) -> str:
    """The one line of exit 3; little memory is used, and loading and verifying agree unless the content is to blame."""
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError) as caught:
            read_export(folder)
        assert tracemalloc.get_traced_memory()[1] < most_bytes
    finally:
        tracemalloc.stop()
    text = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in text
    assert str(folder) in text
    return text


def resealed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest as somebody would who knows how it is made."""
    content = json.loads((folder / MANIFEST).read_bytes())
    del content["sha256"]
    change(content)
    (folder / MANIFEST).write_bytes(sealed(content))


def with_weights(folder: Path, data: bytes) -> None:
    """Other bytes as weights, with a manifest whose digests are right."""
    (folder / WEIGHTS).write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    resealed(folder, lambda content: content["files"].update({WEIGHTS: entry}))


def test_any_flipped_bit_is_seen(export: Path, record_property: Callable[[str, object], None]) -> None:
    """In the weights and in what is said of them; file, expected and actual digest are named."""
    generator, tried = random.Random(0), 0
    for name in (WEIGHTS, MANIFEST):
        good = (export / name).read_bytes()
        for _ in range(max(60, REPEATS)):
            bit = generator.randrange(8 * len(good))
            data = bytearray(good)
            data[bit // 8] ^= 1 << bit % 8
            (export / name).write_bytes(data)
            text = refusal(export)
            assert str(export / name) in text
            assert name == MANIFEST or ("SHA-256" in text and "expected" in text)
            tried += 1
        (export / name).write_bytes(good)
    record_property("tried", tried)
    read_export(export)


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_a_file_cut_or_grown(export: Path, name: str) -> None:
    good = (export / name).read_bytes()
    for data in (b"", good[:3], good[:8], good[: len(good) // 2], good[:-1], good + b"\n", good + good):
        (export / name).write_bytes(data)
        assert name in refusal(export)
    (export / name).unlink()
    assert name in refusal(export)


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_what_is_no_file(export: Path, name: str) -> None:
    """Nothing waits for a pipe, and a device that never ends is not read."""
    for make in (lambda path: os.mkfifo(path), lambda path: path.mkdir(), lambda path: path.symlink_to("/dev/zero")):
        (export / name).unlink() if (export / name).is_file() else None
        make(export / name)
        assert name in refusal(export)
        (export / name).rmdir() if (export / name).is_dir() else (export / name).unlink()


def test_two_exports_mixed(export: Path, tmp_path: Path, header: StoreHeader) -> None:
    other = written(tmp_path / "other", header, seed=6)
    (export / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    assert "SHA-256" in refusal(export)


def test_an_export_of_an_earlier_version(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / WEIGHTS, {"description": "{}"})
    assert "earlier version. Make the export again" in refusal(tmp_path)


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda c: c.update(format_version=3),
    "a version in words": lambda c: c.update(format_version="2"),
    "no files": lambda c: c.update(files={}),
    "no weights": lambda c: c.update(files={"other.txt": {"bytes": 1, "sha256": "0" * 64}}),
    "text for bytes": lambda c: c["files"][WEIGHTS].update(bytes=str(c["files"][WEIGHTS]["bytes"])),
    "true for bytes": lambda c: c["files"][WEIGHTS].update(bytes=True),
    "far too many bytes": lambda c: c["files"][WEIGHTS].update(bytes=2**63),
    "more bytes than there are": lambda c: c["files"][WEIGHTS].update(bytes=2**49),
    "a name that leads elsewhere": lambda c: c["files"].update({"../x": c["files"][WEIGHTS]}),
    "no digest": lambda c: c["files"][WEIGHTS].pop("sha256"),
    "no description": lambda c: c.pop("description"),
    "a list for a description": lambda c: c.update(description=[]),
    "an unknown key": lambda c: c.update(more=1),
    "no step": lambda c: c["description"].pop("step"),
    "text for a step": lambda c: c["description"].update(step="12"),
    "no encoder": lambda c: c["description"].pop("encoder"),
    "text for an encoder": lambda c: c["description"].update(encoder="esmc"),
    "no digest of the encoder": lambda c: c["description"]["encoder"].update(weights_sha256=None),
    "text for a width": lambda c: c["description"].update(d_input="8"),
    "a width of 10^12": lambda c: c["description"].update(d_input=10**12),
    "another width": lambda c: c["description"].update(d_input=WIDTH + 1),
    "another network": lambda c: c["description"]["model"].update(name="triplet"),
    "no network": lambda c: c["description"].update(model={"name": "siam"}),
    "an enormous network": lambda c: c["description"]["model"].update(d_model=2**40),
    "a network beyond 64 bits": lambda c: c["description"]["model"].update(d_model=2**70),
    "10^9 layers": lambda c: c["description"]["model"].update(num_transformer_layers=10**9),
    "a kernel of 2^62": lambda c: c["description"]["model"].update(kernel_size=2**62),
    "10^15 queries": lambda c: c["description"]["model"].update(num_pooling_queries=10**15),
    "heads that do not fit": lambda c: c["description"]["model"].update(num_heads=3),
    "an encoder in front": lambda c: c["description"].update(
        tuned_encoder={"shape": {"d_model": 2**30, "num_layers": 2**30, "intermediate": 2**30}, "rank": 1}
    ),
    "an encoder of odd width": lambda c: c["description"].update(
        tuned_encoder={"shape": {"d_model": 1, "num_layers": 1, "intermediate": 1}, "rank": None}
    ),
    "an encoder without sizes": lambda c: c["description"].update(tuned_encoder={}),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_manifest_that_means_harm(export: Path, change: Callable[[dict[str, Any]], object]) -> None:
    resealed(export, lambda content: change(content) and None)
    refusal(export)


def entry(shape: list[Any], first: Any, last: Any, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


def file_with(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


HEADERS: dict[str, bytes] = {
    "nothing": b"",
    "a length of 2^63": file_with({}, length=2**63),
    "a length of 10^12": file_with({}, length=10**12),
    "no JSON": file_with(b"\xff" * 40),
    "nested": file_with(b"[" * 200_000),
    "a list": file_with([]),
    "a key twice": file_with(b'{"a": {}, "a": {}}'),
    "no tensors": file_with({}),
    "a shape of 10^12": file_with({"w": entry([10**12], 0, 4)}, b"0000"),
    "a product beyond 64 bits": file_with({"w": entry([2**40] * 3, 0, 4)}, b"0000"),
    "a negative shape": file_with({"w": entry([-1], 0, 4)}, b"0000"),
    "text for a shape": file_with({"w": entry(["1"], 0, 4)}, b"0000"),
    "missing keys": file_with({"w": {"dtype": "F32"}}, b"0000"),
    "another dtype": file_with({"w": entry([2], 0, 4, "F16")}, b"0000"),
    "beyond the end": file_with({"w": entry([2], 0, 8)}, b"0000"),
    "overlapping": file_with({"w": entry([1], 0, 4), "v": entry([1], 0, 4)}, b"0000"),
    "a gap": file_with({"w": entry([1], 4, 8)}, b"00000000"),
    "more than is said": file_with({"w": entry([1], 0, 4)}, b"00000000"),
    "backwards": file_with({"w": entry([1], 4, 0)}, b"0000"),
    "other tensors": save({"weight": torch.zeros(2)}),
}


@pytest.mark.parametrize("data", HEADERS.values(), ids=HEADERS.keys())
def test_weights_that_mean_harm(export: Path, data: bytes) -> None:
    """Their digests are right."""
    with_weights(export, data)
    assert WEIGHTS in refusal(export)


def test_weights_of_another_shape(tmp_path: Path, header: StoreHeader) -> None:
    weights = dict(build_model(SECTION, WIDTH + 1, 0).named_parameters())
    write_export(tmp_path / "export", weights, SECTION, header, FACTS)
    assert re_shape(refusal(tmp_path / "export"))


def re_shape(text: str) -> bool:
    return "tensors differ, such as" in text and "expected (" in text


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, header: StoreHeader) -> tuple[Path, dict[str, bytes]]:
    """An export to be damaged again and again, and its files."""
    folder = written(tmp_path_factory.mktemp("any") / "export", header)
    return folder, {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.timeout(3600)
@settings(max_examples=REPEATS, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_end_in_success_or_one_line(data: st.DataObject, whole: tuple[Path, dict[str, bytes]]) -> None:
    """Random bytes, and valid content that was changed, in either file, with right digests and with wrong ones."""
    folder, files = whole
    for file, original in files.items():
        (folder / file).write_bytes(original)
    name = data.draw(st.sampled_from([WEIGHTS, MANIFEST]))
    good = bytearray((folder / name).read_bytes())
    kind = data.draw(st.sampled_from(["random", "spliced", "value", "header"]))
    if kind == "random":
        good = bytearray(data.draw(st.binary(max_size=400)))
    elif kind == "spliced" or (kind == "header" and name == MANIFEST):
        at = data.draw(st.integers(0, len(good)))
        good[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    elif kind == "header":
        length = int.from_bytes(good[:8], "little")
        at = 8 + data.draw(st.integers(0, length - 1))
        good[at] = data.draw(st.sampled_from(list(b'0123456789-.eE"[]{},:nN \xff')))
    else:
        json_value = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=6,
        )
        content = json.loads((folder / MANIFEST).read_bytes())
        del content["sha256"]
        at_keys: Any = content
        while isinstance(at_keys, dict) and at_keys:
            key = data.draw(st.sampled_from(sorted(at_keys)))
            if not isinstance(at_keys[key], dict) or not at_keys[key] or data.draw(st.integers(0, 3)) == 0:
                at_keys[key] = data.draw(json_value)
                break
            at_keys = at_keys[key]
        (folder / MANIFEST).write_bytes(sealed(content))
        name, good = WEIGHTS, bytearray((folder / WEIGHTS).read_bytes())
    if name == WEIGHTS and kind != "value" and data.draw(st.booleans()):
        with_weights(folder, bytes(good))
    else:
        (folder / name).write_bytes(good)
    started, problem = time.monotonic(), None
    try:
        read_export(folder)
    except SnwError as error:
        problem = error
    assert problem is None or (problem.exit_code in (2, 3) and "\n" not in str(problem))
    assert time.monotonic() - started < 20
