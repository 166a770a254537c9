import json
import logging
import math
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hpc.disk.json_lines import JsonLines, read_json_lines
from hpc.errors import CorruptError


def test_floats_come_back_to_the_bit(tmp_path):
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float(np.float32(0.1))]
    with JsonLines(tmp_path / "metrics.jsonl") as file:
        file.write({"values": values, "single": np.float32(0.1), "count": np.int64(3), "flag": True, "none": None})
    (record,) = read_json_lines(tmp_path / "metrics.jsonl")
    assert [struct.pack("d", v) for v in record["values"]] == [struct.pack("d", v) for v in values]
    assert record["single"] == float(np.float32(0.1))
    assert (record["count"], record["flag"], record["none"]) == (3, True, None)


def test_not_a_number_becomes_null_and_lines_are_strict_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as file:
        file.write({"step": 1, "loss": math.nan, "more": {"x": [math.inf, np.float64("nan")]}})
        with pytest.raises(TypeError, match="object cannot be written"):
            file.write({"step": 2, "loss": object()})
        file.write({"step": 3})

    def refuse(constant):
        raise AssertionError(constant)

    first, second = path.read_text().splitlines()
    assert json.loads(first, parse_constant=refuse) == {"step": 1, "loss": None, "more": {"x": [None, None]}}
    assert json.loads(second) == {"step": 3}


def test_each_line_is_there_at_once(tmp_path):
    with JsonLines(tmp_path / "deep" / "metrics.jsonl") as file:
        file.write({"step": 1})
        assert list(read_json_lines(file.path)) == [{"step": 1}]


@pytest.mark.parametrize("torn", [b'{"step": 4, "lo', b"x" * 200_000])
def test_a_torn_last_line_is_dropped_at_opening(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 3}\n' + torn)
    assert list(read_json_lines(path)) == [{"step": 3}]
    with JsonLines(path) as file:
        file.write({"step": 4})
    assert path.read_bytes() == b'{"step": 3}\n{"step": 4}\n'


def test_truncate_after_forgets_later_steps_and_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as file:
        for step in range(6):
            file.write({"step": step, "loss": 1 / (step + 3)})
        file.write({"event": "no step"})
        before = path.read_bytes().splitlines(keepends=True)
        assert file.truncate_after(2) == 3
        assert path.read_bytes() == b"".join([*before[:3], before[6]])
        assert file.truncate_after(2) == 0
        file.write({"step": 3})
    assert [record.get("step") for record in read_json_lines(path)] == [0, 1, 2, None, 3]
    assert [item.name for item in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_damaged_line_is_left_out_with_a_warning(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n{"ste\n7\n{"step": 2}\n')
    with caplog.at_level(logging.WARNING, logger="hpc.disk.json_lines"):
        assert [record["step"] for record in read_json_lines(path)] == [1, 2]
    assert "metrics.jsonl:2" in caplog.text
    assert "metrics.jsonl:3" in caplog.text


def test_a_line_that_did_not_fit_is_taken_back(tmp_path, monkeypatch):
    class Short:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            return self.file.write(data[:5])

        def fileno(self):
            return self.file.fileno()

    with JsonLines(tmp_path / "metrics.jsonl") as file:
        file.write({"step": 1})
        real = file._file
        monkeypatch.setattr(file, "_file", Short(real))
        with pytest.raises(OSError, match="not written as a whole"):
            file.write({"step": 2})
        monkeypatch.setattr(file, "_file", real)
        file.write({"step": 3})
    assert [record["step"] for record in read_json_lines(tmp_path / "metrics.jsonl")] == [1, 3]
    assert (tmp_path / "metrics.jsonl").stat().st_size == 24


DAMAGED = {
    "not UTF-8": b'{"step": 2, "kind": "\xff\xfe"}\n',
    "nested deeply": b'{"step": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "nested until the stack ends": b"[" * 500_000 + b"\n",
    "text for a step": b'{"step": "two"}\n',
    "a list for a step": b'{"step": [2]}\n',
    "no step": b'{"step": null}\n',
    "true for a step": b'{"step": true}\n',
    "half a step": b'{"step": 2.5}\n',
    "a step that is no number": b'{"step": NaN}\n',
    "a step beyond all": b'{"step": 1' + b"0" * 400 + b"}\n",
    "digits without end": b'{"step": ' + b"9" * 100_000 + b"}\n",
    "a negative step": b'{"step": -1}\n',
    "a key twice": b'{"step": 2, "step": 3}\n',
    "zeros": b"\x00" * 4096 + b"\n",
    "a line of 3 MB": b'{"step": 2, "x": "' + b"x" * 3_000_000 + b'"}\n',
    "an empty line": b"\n",
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_line_stops_nobody_and_is_set_aside(tmp_path, caplog, line):
    path = tmp_path / "metrics.jsonl"
    good = [b'{"step": 1, "loss": 0.5}\n', b'{"step": 3}\n']
    path.write_bytes(good[0] + line + good[1])
    assert [record["step"] for record in read_json_lines(path)] == [1, 3]
    with JsonLines(path) as file:
        assert path.read_bytes() == b"".join(good)
        file.truncate_after(1)
        file.write({"step": 2})
    assert [record["step"] for record in read_json_lines(path)] == [1, 2]
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes().replace(b"\n", b"") == line.replace(b"\n", b"")
    assert "metrics.jsonl:2: damaged, set aside in metrics.jsonl.damaged" in caplog.text


def test_many_damaged_lines_are_counted(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"rubbish\n" * 1000 + b'{"step": 3}\n')
    assert list(read_json_lines(path)) == [{"step": 3}]
    assert caplog.text.count("metrics.jsonl") == 4
    assert "1000 damaged lines" in caplog.text


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for make, remove in ((os.mkfifo, os.unlink), (os.mkdir, os.rmdir)):
        make(path)
        for use in (JsonLines, lambda file: list(read_json_lines(file))):
            with pytest.raises(CorruptError, match=r"metrics\.jsonl: not a regular file"):
                use(path)
        remove(path)


REPEATS = int(os.environ.get("SNW_FAULT_REPEATS", "40"))
ANY_LINE = st.binary(max_size=60) | st.sampled_from(
    [b'{"step": 1}', b'{"kind": "x"}', *[v[:-1] for v in DAMAGED.values()]]
)


@pytest.mark.timeout(3600)
@settings(max_examples=REPEATS, deadline=None, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(ANY_LINE, max_size=8), step=st.integers(0, 5))
def test_any_bytes_are_read_and_gone_on_with(tmp_path_factory, lines, step):
    """Nothing that was a record before a resume is lost, nothing is read as one that is none, memory is bounded."""
    path = tmp_path_factory.mktemp("any") / "metrics.jsonl"
    content = b"\n".join(lines)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        before = list(read_json_lines(path))
        with JsonLines(path) as file:
            file.truncate_after(step)
            file.write({"step": step + 1})
        assert tracemalloc.get_traced_memory()[1] < 60e6
    finally:
        tracemalloc.stop()
    kept = [record for record in before if record.get("step", 0) <= step]
    assert list(read_json_lines(path)) == [*kept, {"step": step + 1}]
    aside = path.with_name("metrics.jsonl.damaged")
    whole = content.split(b"\n")[:-1]
    num_damaged = len(whole) - len(before)
    assert num_damaged == 0 or len(aside.read_bytes().replace(b"\n", b"")) <= len(content)
    assert aside.exists() == (num_damaged > 0)


def test_forget_one_kind_at_one_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with JsonLines(path) as file:
        for kind in ("train", "validation"):
            for step in (1, 2):
                file.write({"kind": kind, "step": step})
        file.write({"event": "neither"})
        before = path.read_bytes().splitlines(keepends=True)
        assert file.forget("validation", 2) == 1
        assert path.read_bytes() == b"".join([*before[:3], before[4]])
        assert file.forget("validation", 2) == 0
