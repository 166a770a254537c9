"""The attributes of a part: the names and bytes that they have on disk, and what is said where they are others."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hpc.errors import CorruptError, InputError
from snw_dist.embedding.store.group import complete_header
from snw_dist.embedding.store.header import GROUP, check_same_plan, differences, read_header
from snw_dist.embedding.store.layout import ShardLayout
from snw_dist.embedding.store.plan import plan_embedding
from tests.kit.embedding_tools import ENCODER, SEQUENCES, WIDTH, header_of, open_store

# As written before the Python name of `d_model` became `row_width`.
BEFORE = """\
{
  "attributes": {
    "chunk_rows": 8,
    "complete": true,
    "d_model": 8,
    "encoder": {
      "arithmetic": "fp32",
      "combine": "concat",
      "description": "rows of the test",
      "layers": [
        2
      ],
      "name": "test",
      "weights_sha256": "0000000000000000000000000000000000000000000000000000000000000000",
      "window_overlap": 512,
      "window_residues": 2046
    },
    "files": {
      "lengths/c/0": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    },
    "first_sequence": 0,
    "format_version": 2,
    "header_sha256": "2a28e637f80d06c767070ed743f6c1763dd1390e5cbd2cb16f47a0a2ea582812",
    "logical_dtype": "float16",
    "num_residues": 13,
    "num_sequences": 3,
    "num_shards": 1,
    "part": 0,
    "plan_digest": "f73d13ffbc46bac9b66475156babbcdd285fa6fa949409176b648f3688899221",
    "shard_rows": 32
  },
  "node_type": "group",
  "zarr_format": 3
}
"""
ROWS_DIGEST = "9a96b72854d85e8953a3ae6d7b1adf4fb95b9b5dad088678cc97e2d231bdd72d"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    (tmp_path / GROUP).write_text(BEFORE)
    return tmp_path


def signed(attributes: dict[str, Any]) -> str:
    """The file with these attributes and their own digest."""

    def canonical(value: Any) -> str:
        return json.dumps(value, indent=2, sort_keys=True) + "\n"

    del attributes["header_sha256"]
    attributes["header_sha256"] = hashlib.sha256(canonical(attributes).encode()).hexdigest()
    return canonical(json.loads(BEFORE) | {"attributes": attributes})


def test_a_header_made_before_is_read_and_written_with_the_same_bytes(part: Path) -> None:
    header = read_header(part)
    assert (header.row_width, header.shard_rows, header.encoder, header.complete) == (WIDTH, 32, ENCODER, True)
    assert header.to_bytes().decode() == BEFORE
    assert header.rows_digest == ROWS_DIGEST


def test_what_is_written_now_has_the_bytes_of_before() -> None:
    planned = header_of(plan_embedding(["MKV", "GG", "SIINFEKL"], shard_rows=32, chunk_rows=8), "float16")
    assert complete_header(planned, {"lengths/c/0": "a" * 64}).to_bytes().decode() == BEFORE


def test_the_layout_of_the_shards_follows_from_the_header(part: Path) -> None:
    header = read_header(part)
    assert header.row_bytes == WIDTH * 2
    assert header.layout == ShardLayout(num_chunks=32 // 8, chunk_bytes=8 * WIDTH * 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"d_model": 0}, "d_model: Input should be greater than or equal to 1"),
        ({"row_width": 8}, "unknown key 'row_width'; legal here: encoder, logical_dtype, d_model, plan_digest,"),
    ],
)
def test_errors_call_the_width_as_the_file_does(part: Path, changed: dict[str, int], said: str) -> None:
    (part / GROUP).write_text(signed(json.loads(BEFORE)["attributes"] | changed))
    with pytest.raises(CorruptError, match=said):
        read_header(part)


def test_differences_are_told_in_the_order_of_what_is_wanted() -> None:
    there = {"dtype": "float16", "d_model": 8, "layers": [2]}
    assert differences(there, {"layers": [3], "d_model": 8, "dtype": "float32"}) == (
        "layers: [2] there, [3] now; dtype: 'float16' there, 'float32' now"
    )
    assert not differences(there, dict(there))


def test_a_store_of_another_version(tmp_path: Path) -> None:
    open_store(tmp_path / "s", SEQUENCES)
    file = tmp_path / "s" / "zarr.json"
    file.write_text(file.read_text().replace('"format_version": 2', '"format_version": 1'))
    with pytest.raises(CorruptError, match="format version 1, this program reads 2"):
        read_header(tmp_path / "s")


def test_another_encoder_or_input_is_refused_by_name(tmp_path: Path) -> None:
    plan = open_store(tmp_path / "s", SEQUENCES, "float16")
    present = read_header(tmp_path / "s")
    check_same_plan(tmp_path / "s", present, header_of(plan, "float16"))
    other = plan_embedding(SEQUENCES[1:], 32, 16)
    with pytest.raises(InputError) as caught:
        check_same_plan(tmp_path / "s", present, header_of(other, "float32"))
    assert caught.value.exit_code == 2
    for word in ("logical_dtype: 'float16' there, 'float32' now", "num_sequences: 13 there, 12 now", "chunk_rows: 8"):
        assert word in str(caught.value)
    assert "complete" not in str(caught.value)
