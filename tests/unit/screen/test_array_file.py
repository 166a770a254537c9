"""Arrays in a file are what was written, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpc.errors import CorruptError
from snw_dist.screen.array_file import mapped, read_arrays, write_arrays

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.zeros((0, 4), dtype=np.int64)}


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    write_arrays(tmp_path / "new" / "f", ARRAYS, {"unit": 3})
    found = read_arrays(tmp_path / "new" / "f", {"unit": 3})
    assert {name: (values.dtype, values.tolist()) for name, values in found.items()} == {
        name: (values.dtype, values.tolist()) for name, values in ARRAYS.items()
    }
    half = {"a": ARRAYS["a"].astype(np.float16)}
    write_arrays(tmp_path / "half", half, {})
    for file, expected in ((tmp_path / "new" / "f", ARRAYS), (tmp_path / "half", half)):
        assert mapped(file, "a").dtype == expected["a"].dtype
        np.testing.assert_array_equal(mapped(file, "a"), expected["a"])


def test_no_changed_byte_and_no_other_file_passes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_arrays(file, {"a": ARRAYS["a"]}, {"unit": 3})
    with pytest.raises(CorruptError, match="'unit': 3"):
        read_arrays(file, {"unit": 4})
    data = file.read_bytes()
    for place in range(len(data)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            found = read_arrays(file, {"unit": 3})
        except CorruptError:
            continue
        np.testing.assert_array_equal(found["a"], ARRAYS["a"], err_msg=f"byte {place}")
    for length in range(0, len(data), 7):
        file.write_bytes(data[:length])
        with pytest.raises(CorruptError, match="Start the same command again"):
            read_arrays(file, {"unit": 3})
        with pytest.raises(CorruptError):
            mapped(file, "a").sum()
    file.unlink()
    with pytest.raises(CorruptError):
        read_arrays(file, {"unit": 3})
