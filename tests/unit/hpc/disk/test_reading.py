"""Small files that are damaged, endless or made to do damage."""

import contextlib
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpc.disk.reading import MOST_DEPTH, BadFileError, parse_json, read_json, read_small
from tests.kit.ranks import REPOSITORY


def test_what_is_well_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, "\xc3\xa4", null, true]}\n')
    assert read_json(file) == {"a": [1, 2.5, "ä", None, True]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", r"a\.json:1: not valid JSON"),
        (b'{"a": 1,\n "b": }', r"a\.json:2: not valid JSON"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": {"x": 1},\n "b": 2,\n "a": 3}', r"a\.json:3: the key 'a' comes twice \(lines 1 and 3\)"),
        (b'{"a": NaN}', "NaN is no number"),
        (b'{"a": -Infinity}', "-Infinity is no number"),
        (b'{"a": 1e999}', "1e999 is too large"),
        (b"1" * 5000, "not valid JSON"),
        (b"[" * 100_000, "nested too deeply|not valid JSON"),
        (b"[" * 200 + b"]" * 200, "nested too deeply"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "nested too deeply"),
    ],
)
def test_what_is_not_json(tmp_path: Path, text: bytes, said: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(text)
    with pytest.raises(BadFileError, match=said):
        read_json(file)


def test_as_deep_as_allowed() -> None:
    text = "[" * MOST_DEPTH + "1" + "]" * MOST_DEPTH
    assert parse_json(text, "text")


def test_a_pipe_a_device_a_folder_and_a_large_file_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 11)
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(BadFileError, match="not a regular file"):
            read_small(path)
    with pytest.raises(BadFileError, match="11 bytes, more than the 10"):
        read_small(tmp_path / "large", 10)
    assert read_small(tmp_path / "large", 11) == b"x" * 11
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none")


def test_a_file_that_is_larger_than_it_says_is_not_read_for_ever() -> None:
    """Files of /proc have size 0; one that is endless stands for one that grows faster than it is read."""
    code = (
        "from pathlib import Path; from hpc.disk.reading import *\n"
        "try: read_small(Path('/proc/self/maps'), 100)\n"
        "except BadFileError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "more than the 100 bytes" in done.stdout


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(BadFileError):
        json.dumps(parse_json(data, "data"), allow_nan=False)


def test_a_small_file_takes_little_memory_whatever_it_may_have(tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"x" * 100)
    tracemalloc.start()
    try:
        assert read_small(tmp_path / "small", most_bytes=2**32) == b"x" * 100
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
