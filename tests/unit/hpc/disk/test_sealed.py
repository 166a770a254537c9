"""A file with its own digest: what was written is read, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpc.disk.reading import BadFileError
from hpc.disk.sealed import read_sealed, sealed, write_sealed

CONTENT: dict[str, Any] = {"b": [1, 0.1, None, True], "a": {"é": "\n"}, "huge": 10**40}


def test_round_trip(tmp_path: Path) -> None:
    write_sealed(tmp_path / "file.json", CONTENT)
    assert read_sealed(tmp_path / "file.json") == CONTENT
    assert json.loads((tmp_path / "file.json").read_text()).keys() == {*CONTENT, "sha256"}
    assert sealed(dict(reversed(CONTENT.items()))) == sealed(CONTENT)
    with pytest.raises(ValueError, match="JSON compliant"):
        sealed({"x": float("nan")})


def test_the_same_content_in_other_bytes(tmp_path: Path) -> None:
    """A blank more is no damage to the content, but nothing of ours has written it."""
    file = tmp_path / "file.json"
    for text in (
        sealed(CONTENT) + b"\n",
        json.dumps(json.loads(sealed(CONTENT))).encode(),
        b"\xef\xbb\xbf" + sealed(CONTENT),
    ):
        file.write_bytes(text)
        with pytest.raises(BadFileError, match=r"file\.json: .*not in the bytes"):
            read_sealed(file)


def test_another_content_names_both_digests(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_bytes(sealed(CONTENT).replace(b"0.1", b"0.2"))
    with pytest.raises(BadFileError, match=r"SHA-256 of the content \w{64}, expected '\w{64}'"):
        read_sealed(tmp_path / "file.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"3", b"{}", b'{"sha256": 1}', b'{"sha256": null}', b"\xff"])
def test_what_has_no_digest(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file.json").write_bytes(data)
    with pytest.raises(BadFileError, match=r"file\.json"):
        read_sealed(tmp_path / "file.json")
